"""Tables of experiments: their rows run, and written as CSV, Markdown and a picture."""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras

from keras_roots import utils
from keras_roots.training import data, runs
from keras_roots.training.experiments.rows import Row, refusal, run_row
from keras_roots.training.stages import Context, Outcome
from keras_roots.utils import markdown_rows

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
        draw: Function of lines and the path of a picture, which it draws of them.
        drawn: Columns that the lines of all rows must have before it is drawn; without
            any, it is drawn of the lines that there are.
        measure: Function of the networks of all rows, by the row's name, and of the
            data set to further columns of each, for what has to be measured in turns.
        of_networks: Function of names or files of networks and the name of a data set
            to the table of those. Each network stands for itself: lines of rows that
            the table has not stay, and rows that are done are measured without the
            others. `None` for a table of the networks that it has.
    """

    rows: tuple[Row, ...]
    columns: Callable[[Outcome], dict]
    shown: Mapping[str, tuple[str, str]]
    draw: Callable[[Sequence[Mapping], Path], None] | None = None
    drawn: tuple[str, ...] = ()
    measure: (
        Callable[[Mapping[str, keras.Model], data.Dataset], Mapping[str, dict]] | None
    ) = None
    of_networks: Callable[[Sequence[str], str], "Table"] | None = None


def run(
    table: Table,
    context: Context,
    only: str | None = None,
    epochs: int | None = None,
) -> None:
    """Runs the rows that are not done, and then measures in turns what is not.

    Args:
        table: The table.
        context: Where to run them; the folder, that of the rows, is made where it is
            missing.
        only: Regular expression for the names of the rows to run; `None` for all.
        epochs: Epochs of every stage that trains, as for `run_row`.

    Raises:
        ValueError: No row has such a name, or a row's folder holds something else.
        OSError: The folder cannot be written.
        FloatingPointError: Training diverged.
    """
    for row in chosen_rows(table, only):
        run_row(row, context, epochs)
    measure(table, context)


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


def missing(table: Table, folder: str | os.PathLike) -> list[str]:
    """Returns lines that say which rows lack which stages, if they can have them."""
    every = _possible(table, folder)
    return [f"{o.folder.name}: {', '.join(o.missing)}" for o in every if o.missing]


def write(
    name: str,
    table: Table,
    folder: str | os.PathLike,
    output_dir: str | os.PathLike,
) -> list[Path]:
    """Writes what the rows have left, as `experiments/NAME.csv`, `.md` and `.png`.

    A row of which the folder holds nothing keeps its line of a CSV file that is there
    already, so that a table can be continued on another machine.

    Args:
        name: Name of the files.
        table: The table.
        folder: Folder of its rows.
        output_dir: Existing folder, in which `experiments` is made.

    Returns:
        The files. There is no picture without matplotlib, nor before all rows have what
        it shows.

    Raises:
        ValueError: No row has a stage that is done, nor a line.
        OSError: A file cannot be read or written.
    """
    path = Path(output_dir, FOLDER, f"{name}.csv")
    rows = lines(table, folder, path)
    if not rows:
        raise ValueError(
            "`runs` must be a folder with rows that are done: run the table first. "
            f"Received: nothing in {os.fspath(folder)!r}"
        )
    path.parent.mkdir(exist_ok=True)
    utils.write_csv(path, rows)
    utils.write_text(path.with_suffix(".md"), markdown(table, rows))
    written = [path, path.with_suffix(".md")]
    if _is_drawable(table, rows) and utils.is_installed("matplotlib"):
        written.append(path.with_suffix(".png"))
        table.draw(rows, written[-1])
    return written


def lines(
    table: Table, folder: str | os.PathLike, earlier: str | os.PathLike | None = None
) -> list[dict]:
    """Returns the lines of the CSV file: labels, columns, where they were measured.

    Args:
        table: The table.
        folder: Folder of its rows.
        earlier: CSV file, which need not exist, whose lines stay of rows that have no
            stage that is done in the folder.

    Returns:
        Values by column, in the table's order; rows without a line are left out. Behind
        them lines that stay of other networks.

    Raises:
        OSError: A file cannot be read.
    """
    found = {line.get("row"): line for line in _read_lines(earlier)}
    figures = measured(folder)
    for row, outcome in zip(table.rows, _outcomes(table, folder), strict=True):
        if last := outcome.last():
            name = row.name
            found[name] = (
                {"row": name, **row.labels}
                | table.columns(outcome)
                | figures.get(name, {})
                | {column: last.get(column) for column in _ORIGIN}
            )
    names = [row.name for row in table.rows if row.name in found]
    if table.of_networks is not None:
        names += [name for name in found if name and name not in names]
    return [found[name] for name in names]


def markdown(table: Table, rows: Sequence[Mapping]) -> str:
    """Returns the shown columns of lines in Markdown; what is missing stays empty."""
    return markdown_rows(rows, table.shown) + "\n"


def measure(table: Table, context: Context, again: bool = False) -> None:
    """Measures rows in turns, once all are done.

    Args:
        table: The table. With `of_networks`, those of its rows are measured that are
            done.
        context: Where they were run.
        again: Whether to measure what has been measured already.

    Raises:
        ValueError: Another process measures them.
    """
    if table.measure is None:
        return
    folder = Path(context.folder)
    every = _possible(table, folder)
    done = {o.folder.name: o for o in every if not o.missing}
    if len(done) < len(every) and table.of_networks is None:
        return
    known = measured(folder)
    if not done or (not again and set(done) <= set(known)):
        return
    with runs.hold_directory(folder):
        context.say(f"measuring {len(done)} networks in turns")
        models = {name: o.model(o.names[-1]) for name, o in done.items()}
        found = measured(folder) | dict(table.measure(models, context.dataset))
        utils.write_text(folder / _MEASURED, json.dumps(found, indent=2) + "\n")


def measured(folder: str | os.PathLike) -> dict[str, dict]:
    """Returns what was measured of rows, by the row's name; empty before that.

    Args:
        folder: Folder of the rows.
    """
    path = Path(folder, _MEASURED)
    return utils.read_json(path) if path.exists() else {}


def _outcomes(table, folder) -> list[Outcome]:
    return [row.outcome(Path(folder)) for row in table.rows]


def _possible(table, folder) -> list[Outcome]:
    return [o for o in _outcomes(table, folder) if refusal(o.folder) is None]


def _read_lines(path) -> list[dict]:
    if path is None or not os.path.exists(path):
        return []
    # Names of rows such as 0.7 are no numbers.
    return utils.read_csv(path, texts=("row",))


def _is_drawable(table, rows) -> bool:
    found = {row["row"]: row for row in rows}
    return table.draw is not None and all(
        found.get(row.name, {}).get(column) is not None
        for row in table.rows
        for column in table.drawn
    )
