"""Tables of experiments: their rows run, and written as CSV, Markdown and a picture."""

import dataclasses
import importlib.util
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras

from keras_roots import files
from keras_roots.tables import markdown_table
from keras_roots.training import data
from keras_roots.training.experiment_rows import Bench, Outcome, Row, run_row

FOLDER = "experiments"
_MEASURED = "measured.json"
_ORIGIN = ("hardware", "versions", "date")


@dataclasses.dataclass(frozen=True)
class Table:
    """An experiment, as data.

    Attributes:
        rows: Its rows.
        columns: Function of what a row has left to the columns of its line, after the
            row's labels.
        shown: Columns of the Markdown table, with their heading and the format of their
            values, as for `str.format`.
        draw: Function of outcomes and the path of a picture, which it draws; called
            once all is measured, if anything is.
        measure: Function of the networks of all rows, by the row's name, and of the
            data set to further columns of each, for what has to be measured in turns.
    """

    rows: tuple[Row, ...]
    columns: Callable[[Outcome], dict]
    shown: Mapping[str, tuple[str, str]]
    draw: Callable[[Sequence[Outcome], Path], None] | None = None
    measure: (
        Callable[[Mapping[str, keras.Model], data.Dataset], Mapping[str, dict]] | None
    ) = None


def run(
    table: Table, folder: str | os.PathLike, bench: Bench, only: str | None = None
) -> None:
    """Runs the rows that are not done; measures in turns once all are.

    Args:
        table: The table.
        folder: Folder of its rows, made where it is missing.
        bench: Where to run them.
        only: Regular expression for the names of the rows to run; `None` for all.

    Raises:
        ValueError: No row has such a name, or a row's folder holds something else.
        OSError: The folder cannot be written.
        FloatingPointError: Training diverged.
    """
    for row in chosen_rows(table, only):
        run_row(row, Path(folder, row.name), bench)
    _measure(table, Path(folder), bench)


def chosen_rows(table: Table, only: str | None) -> list[Row]:
    """Returns the rows whose whole name matches.

    Args:
        table: The table.
        only: Regular expression; `None` for all rows.

    Raises:
        ValueError: It is no expression, or none does.
    """
    try:
        found = [r for r in table.rows if only is None or re.fullmatch(only, r.name)]
    except re.error as error:
        raise ValueError(
            f"`only` must be a regular expression. Received: only={only!r}, which "
            f"fails with: {error}"
        ) from error
    if not found:
        names = ", ".join(row.name for row in table.rows)
        raise ValueError(
            f"`only` must match the whole name of a row: {names}. "
            f"Received: only={only!r}"
        )
    return found


def outcomes(table: Table, folder: str | os.PathLike) -> list[Outcome]:
    """Returns what the rows have left, of those with a stage that is done.

    Raises:
        ValueError: There is none.
    """
    every = [Outcome(row, Path(folder, row.name)) for row in table.rows]
    found = [outcome for outcome in every if outcome.last()]
    if not found:
        raise ValueError(
            "`runs` must be a folder with rows that are done: run the table first. "
            f"Received: nothing in {os.fspath(folder)!r}"
        )
    return found


def missing(table: Table, folder: str | os.PathLike) -> list[str]:
    """Returns lines that say which rows lack which stages."""
    every = [Outcome(row, Path(folder, row.name)) for row in table.rows]
    return [f"{o.row.name}: {', '.join(o.missing)}" for o in every if o.missing]


def write(
    name: str,
    table: Table,
    folder: str | os.PathLike,
    output_dir: str | os.PathLike,
) -> list[Path]:
    """Writes what the rows have left, as `experiments/NAME.csv`, `.md` and `.png`.

    Args:
        name: Name of the files.
        table: The table.
        folder: Folder of its rows.
        output_dir: Existing folder, in which `experiments` is made.

    Returns:
        The files. There is no picture without matplotlib, nor before all is measured.

    Raises:
        ValueError: No row has a stage that is done.
        OSError: A file cannot be written.
    """
    done = outcomes(table, folder)
    rows = lines(table, folder)
    path = Path(output_dir, FOLDER, f"{name}.csv")
    path.parent.mkdir(exist_ok=True)
    files.write_csv(path, rows)
    files.write_text(path.with_suffix(".md"), markdown(table, rows))
    written = [path, path.with_suffix(".md")]
    drawable = table.draw and (table.measure is None or _is_measured(table, folder))
    if drawable and importlib.util.find_spec("matplotlib"):
        written.append(path.with_suffix(".png"))
        table.draw(done, written[-1])
    return written


def lines(table: Table, folder: str | os.PathLike) -> list[dict]:
    """Returns the lines of the CSV file: labels, columns, where they were measured.

    Raises:
        ValueError: No row has a stage that is done.
    """
    found = measured(folder)
    return [
        {"row": outcome.row.name, **outcome.row.labels}
        | table.columns(outcome)
        | found.get(outcome.row.name, {})
        | {name: outcome.last().get(name) for name in _ORIGIN}
        for outcome in outcomes(table, folder)
    ]


def markdown(table: Table, rows: Sequence[Mapping]) -> str:
    """Returns the shown columns of lines in Markdown; what is missing stays empty."""
    header = [heading for heading, _ in table.shown.values()]
    cells = [
        [
            "" if row.get(name) in (None, "") else form.format(row[name])
            for name, (_, form) in table.shown.items()
        ]
        for row in rows
    ]
    return markdown_table(header, cells) + "\n"


def measured(folder: str | os.PathLike) -> dict[str, dict]:
    """Returns what was measured of all rows, by the row's name; empty before that.

    Args:
        folder: Folder of the rows.
    """
    path = Path(folder, _MEASURED)
    return json.loads(path.read_text()) if path.exists() else {}


def _measure(table, folder, bench):
    every = [Outcome(row, folder / row.name) for row in table.rows]
    if table.measure is None or any(outcome.missing for outcome in every):
        return
    if _is_measured(table, folder):
        return
    bench.say("all rows are done: measuring them in turns")
    models = {o.row.name: o.model(o.row.stages[-1].name) for o in every}
    found = table.measure(models, bench.dataset)
    files.write_text(folder / _MEASURED, json.dumps(found, indent=2) + "\n")


def _is_measured(table, folder) -> bool:
    return set(measured(folder)) == {row.name for row in table.rows}
