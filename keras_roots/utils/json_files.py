"""JSON that may come from anywhere: neither its size nor its depth breaks anything."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from keras_roots.utils.checks import quoted

LARGEST = 2**26  # bytes of a text
_DEEPEST = 200  # lists and dictionaries in each other; networks have about 20


def read_json(path: str | os.PathLike, argument: str = "`path`"):
    """Reads a JSON file in UTF-8.

    Args:
        path: The file.
        argument: What the path was given as, for the message.

    Raises:
        ValueError: It is no JSON, too large or nested too deeply.
        OSError: It cannot be read.
    """
    path = Path(path)
    try:
        _check_size(path.stat().st_size)
        return parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(
            f"{argument} must be a JSON file. Received: {str(path)!r}; reading it "
            f"failed with: {quoted(error)}"
        ) from error


def parse_json(content: str | bytes):
    """Returns what a JSON text says.

    Args:
        content: The text, in UTF-8 where it is bytes.

    Raises:
        ValueError: It is no JSON, too large or nested too deeply.
    """
    _check_size(len(content))
    deep = ValueError(f"JSON must be nested at most {_DEEPEST} deep")
    try:
        found = json.loads(content)
    except RecursionError:
        raise deep from None
    level = [found]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inner(outer)]
    if level:
        raise deep
    return found


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise ValueError(f"JSON must have at most {LARGEST:,} bytes, not {size:,}")


def _inner(value) -> Iterable:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
