"""Columns of performance results that follow from others, and their tables."""

from collections.abc import Sequence

from keras_roots.utils import format_rows

# Columns that tell the measurements of a network apart.
HOW = ("side", "quantize", "optimize", "runtime", "threads", "batch_size")
_SHOWN = {
    "model": "{}",
    "way": "{}",
    "threads": "{}",
    "batch_size": "{}",
    "side": "{}",
    "macs": "{:,}",
    "median_ms": "{:.3f}",
    "p10_ms": "{:.3f}",
    "p90_ms": "{:.3f}",
}


def curves(rows: Sequence[dict]) -> list[list[dict]]:
    """Returns the rows of each family, run alike, those with the fewest groups first.

    Rows of networks without `root` are left out.
    """
    rooted = (row for row in rows if row["root"] is not None)
    found: dict[tuple, list[dict]] = {}
    for row in sorted(rooted, key=lambda row: row["root"]):
        key = tuple(row[name] for name in ("family", *HOW))
        found.setdefault(key, []).append(row)
    return list(found.values())


def dense_ratio(rows: Sequence[dict]) -> list[float | None]:
    """Returns the time of each network over that of the dense one, run alike."""
    ratios = {
        id(row): row["median_ms"] / curve[0]["median_ms"]
        for curve in curves(rows)
        for row in curve
        if curve[0]["root"] == 1
    }
    return [ratios.get(id(row)) for row in rows]


def rise(rows: Sequence[dict]) -> list[float | None]:
    """Returns the time of each network over the least of any with fewer groups.

    It is at most 1 where more groups are no slower, and `None` where there are no
    fewer.
    """
    rises = {
        id(row): row["median_ms"] / min(fewer["median_ms"] for fewer in curve[:index])
        for curve in curves(rows)
        for index, row in enumerate(curve)
        if index
    }
    return [rises.get(id(row)) for row in rows]


def ms_as_224(rows: Sequence[dict]) -> list[float]:
    """Returns times scaled to images of 224x224 pixels: constant if linear in them."""
    return [row["median_ms"] / (row["side"] / 224) ** 2 for row in rows]


def ms_per_image(rows: Sequence[dict]) -> list[float]:
    """Returns times over the number of images."""
    return [row["median_ms"] / row["batch_size"] for row in rows]


def worst_rises(rows: Sequence[dict]) -> list[str]:
    """Returns a line for each curve over the groups: its largest `rise`."""
    lines = []
    for curve in curves(rows):
        risen = [row for row in curve if row["rise"] is not None]
        if risen:
            worst = max(risen, key=lambda row: row["rise"])
            lines.append(
                f"worst rise of {worst['family']}, {way(worst)}: {worst['rise']:.3f} "
                f"at root {worst['root']}"
            )
    return lines


def way(row: dict) -> str:
    """Returns in words how a row's network was converted, and what ran it."""
    runtime = row["runtime"] if row["runtime"] != "litert" else None
    parts = (row["quantize"] or "float32", row["optimize"], runtime)
    return " ".join(filter(None, parts))


def table(rows: Sequence[dict], columns: Sequence[str]) -> str:
    """Returns rows as a table for the terminal.

    Args:
        rows: Rows of one suite.
        columns: Columns to show after the network and its time.
    """
    shown = [row | {"way": way(row)} for row in rows]
    note = f"{rows[0]['processor']}; {rows[0]['versions']}; {rows[0]['date']}"
    forms = _SHOWN | dict.fromkeys(columns, "{:.4g}")
    return f"{format_rows(shown, forms, left=2)}\n{note}"
