"""Outputs that appear whole or not at all, whatever ends the process.

An output is made in a folder of its own beside its place, is written to the disk, and
moves there. Whoever makes such a folder holds its lock, so that the next output in the
same place removes what killed processes have left, and nothing else.
"""

import contextlib
import ctypes
import errno
import functools
import io
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Iterator

from keras_roots.utils import full_disks, locks

_PREFIX = ".keras_roots-"
_ASIDE = "~"  # behind the name of what was there, where folders cannot be exchanged
_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (lambda mode: True, "device"),
)


@contextlib.contextmanager
def replacing(path: str | os.PathLike, *, folder: bool = False) -> Iterator[str]:
    """Gives a temporary file or folder, and moves it to `path` at the end.

    If the block raises, the temporary is removed and what was at `path` stays. A
    process that is killed leaves the old or the new there, and the next call in the
    same folder removes its temporary. Where `path` is a link, what it points at is
    replaced; permissions stay as they were.

    Args:
        path: Where the output belongs.
        folder: Whether the output is a folder.

    Yields:
        Path of an empty temporary file or folder, of the name of `path`, in a folder
        beside it.

    Raises:
        OSError: Nothing can be written there, which is raised before the block runs;
            or the disk is full.
    """
    path, place = os.path.abspath(path), os.path.realpath(path)
    parent, name = os.path.split(place)
    if not os.path.isdir(parent):
        raise FileNotFoundError(
            f"`path` must be in an existing folder. Received: path={path!r}, and "
            f"{parent!r} is no folder."
        )
    before = _status(path, place, folder)
    remove_leftovers(parent)
    with contextlib.ExitStack() as stack:
        try:
            temporary = os.path.join(stack.enter_context(_workshop(parent)), name)
            os.mkdir(temporary) if folder else open(temporary, "xb").close()
        except OSError as error:
            raise type(error)(
                "`path` must be in a folder that can be written. Received: "
                f"path={path!r}; writing there failed with: {error}"
            ) from error
        try:
            yield temporary
            _sync_all(temporary)
            if before is not None:
                _keep_permissions(temporary, before)
            _move(temporary, place)
            _sync(parent)
        except Exception as error:
            full = full_disks.as_error(error, path, os.path.dirname(temporary))
            if full is None:
                raise
            raise full from error


def copy(source: str | os.PathLike, path: str | os.PathLike) -> None:
    """Copies a file, or a folder with all that it holds, whole or not at all.

    Args:
        source: What to copy.
        path: Where the copy belongs; what is there is replaced.

    Raises:
        OSError: It cannot be read, or nothing can be written there.
    """
    folder = os.path.isdir(source)
    with replacing(path, folder=folder) as temporary:
        if folder:
            ignored = shutil.ignore_patterns(f"{_PREFIX}*")
            shutil.copytree(source, temporary, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, temporary)


@contextlib.contextmanager
def buffered(temporary: str) -> Iterator[io.BytesIO]:
    """Gives a file in memory, whose content is written to a temporary at the end.

    For HDF5: on a full disk it prints what fails, goes on, and crashes the process at
    its end.

    Args:
        temporary: The temporary, of `replacing`.

    Yields:
        A file for `h5py.File` or `keras.Model.save_weights`.
    """
    buffer = _Buffer()
    buffer.name = temporary
    yield buffer
    with open(temporary, "wb") as file:
        file.write(buffer.getbuffer())


class _Buffer(io.BytesIO):
    """A file in memory, as whose text Keras looks for a suffix."""

    name = ""

    def __str__(self):
        return self.name


def is_leftover(path: str | os.PathLike) -> bool:
    """Tells whether a path is, or is in, a temporary of `replacing`."""
    parts = os.fspath(path).split(os.sep)
    return any(part.startswith(_PREFIX) for part in parts)


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Removes the temporaries of killed processes from a folder.

    Those of living ones stay; so do all where the system has no locks, and what cannot
    be removed.

    Args:
        folder: The folder.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in filter(is_leftover, names):
        left = os.path.join(folder, name)
        if os.path.islink(left) or not os.path.isdir(left):
            continue
        try:
            lock = locks.take(left)
        except OSError:
            continue
        if lock is not None:
            _complete(left, folder)
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


@contextlib.contextmanager
def _workshop(parent):
    """A folder for one output, beside it, with its lock held."""
    while True:
        workshop = os.path.join(parent, f"{_PREFIX}{uuid.uuid4().hex[:8]}")
        os.mkdir(workshop, 0o700)
        # Before the lock is taken, another process may hold it to remove the folder.
        with contextlib.suppress(FileNotFoundError):
            lock = locks.take(workshop, wait=True)
            break
    try:
        yield workshop
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _status(path, place, folder):
    """Returns the status of what is to be replaced, `None` if there is nothing."""
    try:
        found = os.stat(place)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise type(error)(
            f"`path` must be a file, a folder or new. Received: path={path!r}, which "
            f"cannot be reached: {error}"
        ) from error
    kind = next(name for is_kind, name in _KINDS if is_kind(found.st_mode))
    if kind != ("folder" if folder else "file"):
        raise FileExistsError(
            f"`path` must not be an existing {kind}. Received: path={path!r}"
        )
    return found


def _keep_permissions(temporary, before):
    if hasattr(os, "chown"):
        own = os.stat(temporary)
        if (own.st_uid, own.st_gid) != (before.st_uid, before.st_gid):
            with contextlib.suppress(PermissionError):
                os.chown(temporary, before.st_uid, before.st_gid)
    os.chmod(temporary, stat.S_IMODE(before.st_mode))


def _sync_all(path):
    """Has a file, or a folder and all that it holds, written to the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            _sync(os.path.join(folder, name))
        _sync(folder)
    if not os.path.isdir(path):
        _sync(path)


def _sync(path):
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder on Windows, or one that only takes files
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _move(temporary, place):
    if not os.path.isdir(place):
        os.replace(temporary, place)
    elif not _exchange(temporary, place):
        # A moment without either, which `_complete` ends if this process does not.
        os.rename(place, temporary + _ASIDE)
        os.rename(temporary, place)


def _complete(left, parent):
    """Puts a folder in its place, if the one that was there had stepped aside."""
    with contextlib.suppress(OSError):
        names = os.listdir(left)
        for name in names:
            place = os.path.join(parent, name)
            if name + _ASIDE in names and not os.path.lexists(place):
                os.rename(os.path.join(left, name), place)


def _exchange(one, other) -> bool:
    """Exchanges two folders in one instant, if the system can."""
    function = _renameat2()
    if function is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if function(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), other)


@functools.cache
def _renameat2():
    """The function of Linux's C library; `None` elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        text, number = ctypes.c_char_p, ctypes.c_int
        function.argtypes = [number, text, number, text, ctypes.c_uint]
    return function
