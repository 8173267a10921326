"""Advisory locks, which the system frees when the process that holds them ends."""

import contextlib
import datetime
import errno
import os
import platform
import stat
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_HELD: set[str] = set()  # lock files of this process


def take(path: str | os.PathLike, *, wait: bool = False) -> int | None:
    """Takes the lock of an existing file or folder.

    Args:
        path: The file or folder.
        wait: Whether to wait for one who holds it.

    Returns:
        A descriptor, which holds the lock until it is closed; `None` where the system,
        or that of the files, has no such locks.

    Raises:
        BlockingIOError: Somebody else holds it.
        FileNotFoundError: It is gone, perhaps since this waits.
        OSError: It cannot be opened.
    """
    if fcntl is None:
        return None
    kind = os.O_RDONLY if os.path.isdir(path) else os.O_RDWR
    descriptor = os.open(path, kind)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
            raise FileNotFoundError(errno.ENOENT, "another has its name", path)
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def lock_file(path: str | os.PathLike) -> Iterator[None]:
    """Holds a lock file while a block runs; blocks within it share the lock.

    The file says who holds it, and is removed at the end. One that a killed process has
    left is taken over. In a folder that cannot be written there is no lock.

    Args:
        path: The file, in an existing folder.

    Raises:
        BlockingIOError: Another process holds it; the message says which, and since
            when.
        OSError: It cannot be written, or is a link, a pipe or a folder.
    """
    folder, name = os.path.split(os.path.abspath(path))
    path = os.path.join(os.path.realpath(folder), name)
    if fcntl is None or path in _HELD:
        yield
        return
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise FileExistsError(f"A lock must be a file, no link. Received: {path!r}")
    try:
        descriptor = _take_file(path)
    except BlockingIOError:
        raise BlockingIOError(_holder(path)) from None
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        yield
        return
    _HELD.add(path)
    try:
        if descriptor is not None:
            with contextlib.suppress(OSError), open(path, "w") as file:
                file.write(_self())
        yield
    finally:
        _HELD.discard(path)
        with contextlib.suppress(OSError):
            os.remove(path)
        if descriptor is not None:
            os.close(descriptor)


def _take_file(path):
    while True:
        with open(path, "a"):
            pass
        # Who held it may have removed it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            return take(path)


def _self() -> str:
    now = datetime.datetime.now(datetime.UTC)
    since = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    return f"process {os.getpid()} on {platform.node()!r} since {since}\n"


def _holder(path) -> str:
    try:
        with open(path) as file:
            return file.read().strip() or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"
