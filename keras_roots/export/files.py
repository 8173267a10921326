"""Outputs that appear whole or not at all."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike, *, folder: bool = False) -> Iterator[str]:
    """Gives a temporary file or folder beside `path`, and moves it there at the end.

    If the block raises, the temporary is removed and what was at `path` stays.

    Args:
        path: Where the output belongs.
        folder: Whether the output is a folder.

    Yields:
        Path of an empty temporary file or folder beside `path`.

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
    temporary = os.path.join(parent, f".{name}.{uuid.uuid4().hex[:8]}")
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


def size(path: str | os.PathLike) -> int:
    """Returns the bytes of a file, or of all files of a folder."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
    )


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
