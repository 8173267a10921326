"""CSV files of results, read back as `files.write_csv` wrote them."""

import csv
import os
from collections.abc import Collection


def read(path: str | os.PathLike, texts: Collection[str] = ()) -> list[dict]:
    """Reads rows from a CSV file: numbers, texts, and `None` for empty cells.

    Args:
        path: The file.
        texts: Columns whose cells stay texts, whatever they look like.

    Returns:
        Values by column.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, newline="") as file:
        return [
            {
                name: text if name in texts else _value(text)
                for name, text in row.items()
            }
            for row in csv.DictReader(file)
        ]


def _value(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None
