"""Disks that are full, in the words of any library, as one line."""

import errno
import os
import re
import sys
import traceback

_CODES = [
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG")
    if hasattr(errno, name)  # Windows has no quota
]


def as_error(error: Exception, path: str, folder: str) -> OSError | None:
    """Returns what a full disk is told by, and lets go of the files of the failure.

    Args:
        error: What was raised.
        path: Where the output belongs.
        folder: Where it was written.

    Returns:
        An error in one line, which says what another disk it was that is full; `None`
        if the error tells of anything else.
    """
    code = _code(error)
    if code is None:
        return None
    text = f"`path` cannot be written: {os.strerror(code)}. Received: path={path!r}"
    line = str(error).partition("\n")[0][:300]
    if os.sep in line and folder not in line:
        text += f"; {line}"
    _drop_files(error)
    found = OSError(text)
    found.errno = code
    return found


def _code(error) -> int | None:
    while error is not None:
        match = re.search(r"errno = (\d+)", str(error))  # HDF5
        number = int(match[1]) if match else getattr(error, "errno", None)
        said = "" if isinstance(error, ValueError) else str(error)
        for code in _CODES:
            if number == code or os.strerror(code) in said:
                return code
        error = error.__cause__ or error.__context__
    return None


def _drop_files(error):
    """Lets go of the files that an error holds, without what they say of it.

    They close as they are collected, fail once more, and have Python print that.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        while error is not None:
            traceback.clear_frames(error.__traceback__)
            error = error.__cause__ or error.__context__
    finally:
        sys.unraisablehook = hook
