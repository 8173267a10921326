"""The papers' tables of networks: counts as published, corrected, and made here."""

import contextlib
import functools
import gc
import json
from collections.abc import Sequence
from importlib import resources

import keras_roots
from keras_roots import utils
from keras_roots.utils import checks, format_table

_ARGUMENTS = ("root", "topology", "aux_heads")
_COUNTS = ("macs", "params")
_PUBLISHED = ("top1", "top5", "cpu_ms", "gpu_ms")


@functools.cache
def tables() -> dict[str, dict]:
    """Returns the papers' tables by name, as the zoo's `papers.json` holds them."""
    return json.loads(
        (resources.files("keras_roots.zoo") / "papers.json").read_text("utf-8")
    )


def compute(table: str) -> list[dict]:
    """Computes a table: builds the model of every row and counts it.

    Args:
        table: Name of the table, a key of `tables()`.

    Returns:
        Its rows: arguments and groups of the model, `paper_`, `corrected_` and
        `computed_` `macs` and `params`, the published figures, and whether the computed
        counts `match` the corrected ones.

    Raises:
        ValueError: There is no such table.
    """
    found = tables()[checks.choice("table", table, tables())]
    return [_compute(found["model"], row) for row in found["rows"]]


def _compute(model, row) -> dict:
    arguments = {name: row[name] for name in _ARGUMENTS if name in row}
    counted = keras_roots.profile(keras_roots.create_model(model, **arguments))
    gc.collect()  # A model is full of cycles, and the next one takes as much memory.
    result = {**arguments, "groups": " ".join(map(str, row["groups"]))}
    for count in _COUNTS:
        result[f"paper_{count}"] = row[f"paper_{count}"]
        result[f"corrected_{count}"] = row[count]
        result[f"computed_{count}"] = getattr(counted, count)
    result |= {name: row[name] for name in _PUBLISHED}
    result["match"] = all(
        result[f"computed_{count}"] == result[f"corrected_{count}"] for count in _COUNTS
    )
    return result


def render(rows: list[dict]) -> str:
    """Returns the rows of `compute` as an aligned table.

    Args:
        rows: Rows of one table.
    """
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    texts = [[_text(row[name]) for name in columns] for row in rows]
    return format_table([name.replace("_", " ") for name in columns], texts)


def _text(value) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else f"{value:.4g}"


def print_tables(names: Sequence[str], csv: str | None = None) -> None:
    """Prints tables, paper beside model.

    Args:
        names: Names of the tables.
        csv: File to write the rows to as well.

    Raises:
        ValueError: A computed count is not the corrected one, or there is no such
            table.
        OSError: `csv` cannot be written; raised before the work.
    """
    rows = []
    with contextlib.ExitStack() as stack:
        temporary = csv and stack.enter_context(utils.replacing(csv))
        for name in dict.fromkeys(names):
            found = compute(name)
            print(f"{tables()[name]['title']}\n\n{render(found)}\n")
            if tables()[name]["note"]:
                print(f"{tables()[name]['note']}\n")
            rows += [{"table": name, **row} for row in found]
        if csv:
            utils.write_csv(temporary, rows)
    wrong = [row for row in rows if not row["match"]]
    print(f"{len(rows) - len(wrong)} of {len(rows)} rows match the corrected counts.")
    if wrong:
        raise ValueError(f"{len(wrong)} rows differ from the corrected counts")
