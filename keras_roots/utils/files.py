"""Files: texts and CSV files, written whole or not at all, and sizes."""

import csv
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from keras_roots.utils.replacement import replacing
from keras_roots.utils.tables import quote_cells, unquote_cell


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
