r"""Prints the tables of the papers beside what the models of this package count.

Multiply-adds and parameters of every row: as published, corrected where the publication
is wrong, and computed from the model itself. Accuracies and times are the published
ones, for the record. Fails if a computed count is not the corrected one.

Example, two tables of the five:

  keras-roots-reproduce --table=resnet50 --table=nin --csv=tables.csv
"""

import csv
import functools
import gc
import io
import json
from importlib import resources
from pathlib import Path

from absl import flags

import keras_roots
from keras_roots.profiling import format_table
from keras_roots.training import files
from keras_roots.training import flags as shared

_ARGUMENTS = ("root", "topology", "aux_heads")
_COUNTS = ("macs", "params")
_PUBLISHED = ("top1", "top5", "cpu_ms", "gpu_ms")


@functools.cache
def tables() -> dict[str, dict]:
    """Returns the papers' tables by name, as the zoo's `papers.json` holds them."""
    return json.loads((resources.files("keras_roots.zoo") / "papers.json").read_text())


def reproduce(table: str) -> list[dict]:
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
    if table not in tables():
        raise ValueError(
            f"`table` must be one of {list(tables())}. Received: table={table!r}"
        )
    model = tables()[table]["model"]
    return [_compute(model, row) for row in tables()[table]["rows"]]


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
    """Returns the rows of `reproduce` as an aligned table.

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


flags.DEFINE_multi_enum(
    "table",
    ["all"],
    ["all", *tables()],
    "Table to reproduce; may be given several times.",
)
shared.define("csv")


def main(argv) -> None:
    """Prints the tables that the flags name."""
    del argv
    path = shared.FLAGS.csv
    if path and not Path(path).absolute().parent.is_dir():
        raise ValueError(f"--csv must be in a folder that exists. Received: {path!r}")
    chosen = shared.FLAGS.table
    names = list(tables()) if "all" in chosen else list(dict.fromkeys(chosen))
    found = {}
    for name in names:
        found[name] = reproduce(name)
        print(f"{tables()[name]['title']}\n\n{render(found[name])}\n")
        if tables()[name]["note"]:
            print(f"{tables()[name]['note']}\n")
    if path:
        _write_csv(path, found)
    rows = [row for table in found.values() for row in table]
    wrong = [row for row in rows if not row["match"]]
    print(f"{len(rows) - len(wrong)} of {len(rows)} rows match the corrected counts.")
    if wrong:
        raise ValueError(f"{len(wrong)} rows differ from the corrected counts")


def _write_csv(path, found):
    rows = [{"table": name, **row} for name, rows in found.items() for row in rows]
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, text.getvalue())


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, ("table", "csv"))
