"""Checksums at the end of files, behind what those who read the files look at.

A file and its checksum are moved and copied together. There are two copies of it, with
a page between them: where the end of a file is lost, it does not look like one without.
"""

import hashlib
import os
import re

_TITLE = b"\nkeras_roots sha256 "
_LINE = re.compile(re.escape(_TITLE) + rb"[0-9a-f]{64} ([0-9a-f]{64})\n")
_LENGTH = len(_TITLE) + 64 + 1 + 64 + 1
_GAP = bytes(4096)
_TAIL = _LENGTH + len(_GAP) + _LENGTH


def append_checksum(path: str | os.PathLike, about: str = "") -> None:
    """Appends a checksum to a file of a kind that may have more behind its end.

    Args:
        path: The file; HDF5, for instance, tells its length itself.
        about: A text that belongs to the file, and is kept elsewhere.
    """
    noted = hashlib.sha256(about.encode()).hexdigest()
    line = _line(path, os.path.getsize(path), noted)
    with open(path, "ab") as file:
        file.write(line + _GAP + line)


def verify_checksum(path: str | os.PathLike, about: str | None = None) -> bool:
    """Compares a file with its checksum.

    Args:
        path: The file.
        about: The text that `append_checksum` was given; `None` not to compare it.

    Returns:
        Whether it has a checksum.

    Raises:
        ValueError: The file is not what was written, or belongs to another text.
        OSError: It cannot be read.
    """
    length = os.path.getsize(path) - _TAIL
    with open(path, "rb") as file:
        file.seek(max(0, length))
        tail = file.read()
    if _TITLE.strip() not in tail:
        return False
    found = _LINE.match(tail)
    if length < 0 or not found or tail != found[0] + _GAP + found[0]:
        raise ValueError(f"the end of {os.fspath(path)!r} is damaged")
    noted = found[1].decode()
    if found[0] != _line(path, length, noted):
        raise ValueError(f"{os.fspath(path)!r} is not what was written")
    if about is not None and noted != hashlib.sha256(about.encode()).hexdigest():
        raise ValueError(f"{os.fspath(path)!r} belongs to another text")
    return True


def _line(path, length, noted) -> bytes:
    """The line of a file, whose content is that long, and of the text's digest."""
    digest = hashlib.sha256(noted.encode())
    with open(path, "rb") as file:
        while length > 0:
            part = file.read(min(length, 2**20))
            if not part:
                break
            digest.update(part)
            length -= len(part)
    return _TITLE + f"{digest.hexdigest()} {noted}\n".encode()
