"""The pictures of keras-roots-performance."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from keras_roots.export import LATENCY, REWRITES
from keras_roots.training.reports import charts
from keras_roots.training.reports.performance_rows import way

_NAMES = {
    "root_alexnet": "AlexNet",
    "root_convnet": "ConvNet",
    "root_googlenet": "GoogLeNet",
    "root_nin": "NiN",
    "root_resnet20": "ResNet-20",
    "root_resnet200": "ResNet-200",
    "root_resnet50": "ResNet-50",
}
_RUNTIMES = {"litert": "LiteRT", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def draw(name: str, rows: Sequence[dict], output_dir: str | os.PathLike) -> list[Path]:
    """Draws the results of a suite.

    Args:
        name: Name of the suite; the pictures' names start with it.
        rows: Its rows.
        output_dir: Existing folder to write to.

    Returns:
        The pictures.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: They cannot be written.
    """
    pictures = []

    def picture(kind=""):
        pictures.append(Path(output_dir, f"{name}{kind}.png"))
        return pictures[-1]

    _DRAW[name](rows, picture)
    return pictures


def _ratios(rows, picture):
    panels = []
    for family, chosen in _by(rows, "family").items():
        groups: dict[str, dict] = {}
        for row in chosen:
            text = f"{row['median_ms']:.3g} ms"
            if row["root"] > 1 and row["dense_ratio"] is not None:
                text += f", {row['dense_ratio']:.2f} of dense"
            bars = groups.setdefault(_converted(row), {})
            bars[_kind(row)] = row["median_ms"], text
        macs = {row["root"]: row["macs"] for row in chosen}
        title = f"{_NAMES[family]}, root {max(macs)}"
        title += f": MACs {macs[max(macs)] / macs[min(macs)]:.3f} of dense"
        panels.append(charts.Bars(title, "ms, one thread", groups))
    charts.plot_bars(panels, picture())


def _rewrites(rows, picture):
    order = [None, *REWRITES, LATENCY]
    panels = []
    for chosen in _by(rows, "model").values():
        groups: dict[str, dict] = {}
        for row in sorted(chosen, key=lambda row: order.index(row["optimize"])):
            bars = groups.setdefault(row["optimize"] or "none", {})
            text = f"{row['median_ms']:.3g} ms, {row['ratio']:.2f}"
            bars[row["quantize"] or "float32"] = row["ratio"], text
        title = _network(chosen[0])
        panels.append(charts.Bars(title, "time over that of no rewrites", groups))
    charts.plot_bars(panels, picture(), 2)


def _groups(rows, picture):
    charts.plot_lines(
        [
            charts.Lines(
                _NAMES[family],
                "root (filter groups of the first stage)",
                "ms, one thread",
                _lines(chosen, _converted, "root", "median_ms"),
                doubling=True,
            )
            for family, chosen in _by(rows, "family").items()
        ],
        picture(),
    )


def _yardstick(rows, picture):
    litert = [row for row in rows if row["runtime"] == "litert"]
    for kind, chosen in _by(litert, "quantize").items():
        panels = [
            _points(run, threads, column, label)
            for threads, run in _by(chosen, "threads").items()
            for column, label in (("macs", "MACs"), ("params", "parameters"))
        ]
        charts.plot_points(panels, picture(f"-{kind or 'float32'}"))
    others = [row for row in rows if row["runtime"] != "litert"]
    compared = {(row["model"], row["quantize"]) for row in others}
    both = [row for row in rows if (row["model"], row["quantize"]) in compared]
    if both:
        panels = [
            _bars(chosen, f"{kind or 'float32'}, threads: {threads}", "median_ms", "ms")
            for kind, run in _by(both, "quantize").items()
            for threads, chosen in _by(run, "threads").items()
        ]
        charts.plot_bars(panels, picture("-runtimes"), 2)
    panels = [
        _bars(chosen, kind or "float32", column, label)
        for column, label in (
            ("memory_mb", "memory (MB), one thread"),
            ("load_ms", "time to load and run once (ms), one thread"),
        )
        for kind, chosen in _by(_known(rows, column, threads=1), "quantize").items()
    ]
    if panels:
        charts.plot_bars(panels, picture("-memory"), 2)


def _sizes(rows, picture):
    panels = [
        charts.Lines(
            _NAMES[family],
            "height and width (pixels)",
            ylabel,
            _lines(chosen, _kind_and_type, "side", column),
        )
        for column, ylabel in (
            ("median_ms", "ms"),
            ("ms_as_224", "ms, scaled to 224x224 pixels"),
            ("memory_mb", "memory (MB)"),
        )
        for family, chosen in _by(_known(rows, column), "family").items()
    ]
    charts.plot_lines(panels, picture(), 2)


def _batches(rows, picture):
    panels = [
        charts.Lines(
            f"{_NAMES[family]}, {kind or 'float32'}",
            "batch (images)",
            ylabel,
            _lines(chosen, _kind_and_threads, "batch_size", column),
            doubling=True,
        )
        for column, ylabel in (
            ("ms_per_image", "ms per image"),
            ("memory_mb", "memory (MB)"),
        )
        for family, known in _by(_known(rows, column), "family").items()
        for kind, chosen in _by(known, "quantize").items()
    ]
    charts.plot_lines(panels, picture(), 2)


_DRAW = {
    "ratios": _ratios,
    "rewrites": _rewrites,
    "groups": _groups,
    "yardstick": _yardstick,
    "sizes": _sizes,
    "batches": _batches,
}


def _points(rows, threads, column, label) -> charts.Points:
    """Returns a panel of latency over a count, plain and optimised."""
    points: dict[str, dict] = {}
    for row in rows:
        series = points.setdefault(_converted(row), {})
        series[_network(row)] = 1e-6 * row[column], row["median_ms"]
    dense = [row for row in rows if row["root"] == 1]
    return charts.Points(
        f"threads: {threads}",
        f"{label} (millions)",
        "ms",
        points,
        (1e-6 * dense[0][column], dense[0]["median_ms"])
        if dense and column == "macs"
        else None,
    )


def _bars(rows, title, column, label) -> charts.Bars:
    """Returns a panel of bars: by network, by how it was converted and run."""
    groups: dict[str, dict] = {}
    for row in rows:
        runtime = _RUNTIMES[row["runtime"]]
        name = f"{runtime}, optimised" if row["optimize"] else runtime
        bars = groups.setdefault(_network(row), {})
        bars[name] = row[column], f"{row[column]:.3g}"
    return charts.Bars(title, label, groups)


def _lines(rows, name: Callable[[dict], str], x, y) -> dict[str, list]:
    """Returns points by the name of the line that they are on."""
    lines: dict[str, list] = {}
    for row in rows:
        lines.setdefault(name(row), []).append((row[x], row[y]))
    return lines


def _by(rows, column) -> dict:
    """Returns rows by the value of a column."""
    found: dict = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def _known(rows, column, threads=None) -> list[dict]:
    """Returns the rows that have a value, perhaps only those of some threads."""
    return [
        row
        for row in rows
        if row[column] is not None and threads in (None, row["threads"])
    ]


def _network(row) -> str:
    family = _NAMES.get(row["family"])
    if family is None:
        return row["family"].removeprefix("keras.applications.") + " (Keras)"
    return f"{family} dense" if row["root"] == 1 else f"{family} root {row['root']}"


def _kind(row) -> str:
    return "dense" if row["root"] == 1 else "filter groups"


def _converted(row) -> str:
    return way({**row, "optimize": row["optimize"] and "optimised"})


def _kind_and_type(row) -> str:
    return f"{_kind(row)}, {row['quantize'] or 'float32'}"


def _kind_and_threads(row) -> str:
    return f"{_kind(row)}, threads: {row['threads']}"
