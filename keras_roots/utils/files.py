"""Files: outputs that appear whole or not at all, CSV files, sizes."""

import contextlib
import csv
import os
import shutil
import sys
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from keras_roots.utils.tables import quote_cells, unquote_cell


@contextlib.contextmanager
def replacing(path: str | os.PathLike, *, folder: bool = False) -> Iterator[str]:
    """Gives a temporary file or folder beside `path`, and moves it there at the end.

    If the block raises, the temporary is removed and what was at `path` stays.

    Args:
        path: Where the output belongs.
        folder: Whether the output is a folder.

    Yields:
        Path of an empty temporary file or folder beside `path`, with its suffixes.

    Raises:
        OSError: Nothing can be written there; raised before the block runs.
    """
    path = os.path.abspath(path)
    parent, name = os.path.split(path)
    if not os.path.isdir(parent):
        raise FileNotFoundError(
            f"`path` must be in an existing folder. Received: path={path!r}, and "
            f"{parent!r} is no folder."
        )
    if os.path.exists(path) and os.path.isdir(path) != folder:
        raise FileExistsError(
            f"`path` must not be an existing {'file' if folder else 'folder'}. "
            f"Received: path={path!r}"
        )
    temporary = os.path.join(parent, f".{uuid.uuid4().hex[:8]}.{name}")
    try:
        os.mkdir(temporary) if folder else open(temporary, "xb").close()
    except OSError as error:
        raise type(error)(
            f"`path` must be in a folder that can be written. Received: path={path!r}; "
            f"writing there failed with: {error}"
        ) from error
    try:
        yield temporary
        _move(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        Path(temporary).write_text(text, "utf-8")


def write_csv(path: str | os.PathLike, rows: Sequence[dict]) -> None:
    """Writes rows as a CSV file with a header, whole or not at all.

    A text that a spreadsheet would take for a formula gets an apostrophe, which
    `read_csv` takes away again.

    Args:
        path: File to write.
        rows: Values by column; a column that a row lacks stays empty there.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(quote_cells, rows))


def print_csv(rows: Iterable[dict], path: str | os.PathLike | None = None) -> None:
    """Prints rows as CSV as they come, and writes a file after each one if asked to.

    Args:
        rows: Values by column, the same columns in all of them.
        path: File to write as `write_csv` does; `None` for none.
    """
    written = []
    for row in rows:
        writer = csv.DictWriter(sys.stdout, row, lineterminator="\n")
        if not written:
            writer.writeheader()
        writer.writerow(quote_cells(row))
        sys.stdout.flush()
        written.append(row)
        if path:
            write_csv(path, written)


def read_csv(path: str | os.PathLike, texts: Collection[str] = ()) -> list[dict]:
    """Reads rows of a CSV file: numbers, texts, and `None` for empty cells.

    Args:
        path: The file.
        texts: Columns whose cells stay texts, whatever they look like.

    Returns:
        Values by column.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, encoding="utf-8", newline="") as file:
        return [
            {
                name: unquote_cell(text) if name in texts else _value(text)
                for name, text in row.items()
            }
            for row in csv.DictReader(file)
        ]


def size(path: str | os.PathLike) -> int:
    """Returns the bytes of a file, or of all files of a folder."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
    )


def _value(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return unquote_cell(text) or None


def _move(temporary, path):
    if not os.path.isdir(path):
        os.replace(temporary, path)
        return
    # A folder cannot replace a folder that holds files: step aside first.
    previous = f"{temporary}.previous"
    os.rename(path, previous)
    os.rename(temporary, path)
    shutil.rmtree(previous)


def _remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
