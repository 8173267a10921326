"""Checkpoints and logs of trainings: written whole, and refused where damaged."""

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from keras_roots import utils

LOG = "log.csv"
LAST = "last.weights.h5"
BEST = "best.weights.h5"


def save_checkpoint(
    path: str | os.PathLike, save: Callable[[io.BytesIO], None], log: str = ""
) -> None:
    """Writes a checkpoint with its checksum, whole or not at all.

    Args:
        path: The HDF5 file.
        save: Function of a file in memory that writes it there.
        log: Text of the log up to this checkpoint, which it is kept with.

    Raises:
        OSError: It cannot be written.
    """
    with utils.replacing(path) as name:
        with utils.buffered(name) as file:
            save(file)
        utils.append_checksum(name, log)


def load_checkpoint(path: str | os.PathLike, load: Callable[[str], None]) -> None:
    """Loads a checkpoint that is what was written; older ones have no checksum.

    Args:
        path: The HDF5 file.
        load: Function of a path that loads it.

    Raises:
        ValueError: It is damaged, or of another network.
    """
    path = os.fspath(path)
    try:
        utils.verify_checksum(path)
        load(path)
    except Exception as error:
        reason = str(error).partition("\n")[0][:300]
        raise ValueError(
            f"The checkpoint {path!r} is damaged, or of another network: {reason}. Put "
            "a whole copy in its place, or remove it: training then starts from its "
            "first epoch"
        ) from error


def read_log(directory: str | os.PathLike) -> list[dict]:
    """Returns the rows of a run's `log.csv`, none if there is no such file.

    Raises:
        ValueError: It is damaged.
        OSError: It cannot be read.
    """
    path = Path(directory, LOG)
    if not path.exists():
        return []
    try:
        with open(path, newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
        _check_rows(rows, reader.fieldnames or ())
    except (ValueError, csv.Error) as error:
        raise _damaged(path, error) from error
    return rows


def resumed_log(
    directory: str | os.PathLike,
    done: int,
    monitor: str,
    first: int | None = 1,
) -> list[dict]:
    """Returns the rows of the epochs that the last checkpoint has.

    Args:
        directory: Output directory of the run.
        done: Epochs that the checkpoint has.
        monitor: Column that the best epoch is told by.
        first: Epoch that the training began with; `None` if that is not known.

    Raises:
        ValueError: The log is damaged, lacks an epoch, or is of another training.
        OSError: It cannot be read.
    """
    path = Path(directory, LOG)
    rows = [row for row in read_log(directory) if int(row["epoch"]) <= done]
    if first is None:
        first = int(rows[0]["epoch"]) if rows else done
    epochs = [int(row["epoch"]) for row in rows]
    if epochs != list(range(first, done + 1)):
        raise _damaged(
            path, f"of the epochs {first} to {done}, which {LAST} has, it has {epochs}"
        )
    if rows and not rows[0].get(monitor):
        raise _damaged(path, f"it has no column {monitor!r}")
    last = Path(directory, LAST)
    if last.exists():
        try:
            utils.verify_checksum(last, log_text(rows))
        except ValueError as error:
            raise _damaged(path, f"{LAST} was saved with another one") from error
    return rows


def log_text(rows: Sequence[Mapping]) -> str:
    """Returns the text that a checkpoint notes of the rows of a log."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name) for name in columns] for row in rows]
    lines = [["" if cell is None else str(cell) for cell in line] for line in cells]
    return "\n".join(map(",".join, [columns, *lines]))


def _check_rows(rows, columns):
    if "epoch" not in columns or len({*columns}) < len(columns):
        raise ValueError(f"its columns are {list(columns)}")
    epochs = []
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"line {number} has not {len(columns)} cells")
        try:
            [float(text) for text in row.values() if text]
            epochs.append(int(row["epoch"]))
        except ValueError:
            raise ValueError(f"line {number} has no number in a cell") from None
    if epochs != list(range(epochs[0], epochs[0] + len(epochs)) if epochs else ()):
        raise ValueError(f"epochs repeat or lack: {epochs}")


def _damaged(path, reason):
    return ValueError(
        f"The log {str(path)!r} is damaged: {reason}. Put a whole copy in its place, "
        f"or remove it and {LAST} beside it: training then starts from its first epoch"
    )
