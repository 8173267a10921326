"""Forked children that run a function: to its end, or to the n-th change of a file.

A tracer counts the system calls that change files, as `strace` would, and kills the
child before one of them is made.
"""

import contextlib
import ctypes
import os
import platform
import signal
import sys
import traceback

# Numbers of the system calls that change files, for x86-64 and for AArch64.
_CALLS = {
    "write": (1, 64),
    "open": (2, None),
    "pwrite64": (18, 68),
    "writev": (20, 66),
    "sendfile": (40, 71),
    "flock": (73, 32),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "rename": (82, None),
    "mkdir": (83, None),
    "rmdir": (84, None),
    "creat": (85, None),
    "link": (86, None),
    "unlink": (87, None),
    "symlink": (88, None),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "chown": (92, None),
    "fchown": (93, 55),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "openat": (257, 56),
    "mkdirat": (258, 34),
    "fchownat": (260, 54),
    "unlinkat": (263, 35),
    "renameat": (264, 38),
    "linkat": (265, 37),
    "symlinkat": (266, 36),
    "fchmodat": (268, 53),
    "utimensat": (280, 88),
    "fallocate": (285, 47),
    "renameat2": (316, 276),
    "copy_file_range": (326, 285),
}
_MACHINES = ("x86_64", "aarch64")
_OPENING = {"open": 1, "openat": 2}  # which argument has the flags
# Of <sys/ptrace.h>: requests, and options.
_TRACEME, _SYSCALL, _SET_OPTIONS, _CALL_INFO = 0, 24, 0x4200, 0x420E
_MARK_CALLS, _KILL_WITH_ME = 1, 1 << 20


def can_trace() -> bool:
    """Tells whether this system lets a process trace its child."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    try:
        return changes(lambda: open(os.devnull, "w").close()) == ["openat"]
    except OSError:
        return False


def run(function) -> str:
    """Runs a function in a child; returns what it printed."""
    with started(function) as (child, output):
        text = output.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"the child ended with status {status}: {text}"
    return text


@contextlib.contextmanager
def started(function):
    """Runs a function in a child, which is killed at the end of the block.

    Yields:
        Number of the child, and the file that it prints to.
    """
    read, write = os.pipe()
    child = _fork(function, write)
    os.close(write)
    with open(read) as output:
        try:
            yield child, output
        finally:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(child, os.WNOHANG) == (0, 0):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)


def changes(function) -> list[str]:
    """Returns the names of the calls by which a function changes files, in order."""
    return _trace(function, None)[1]


def kill_at(function, number: int) -> bool:
    """Runs a function in a child that is killed before a change of a file.

    Args:
        function: The function.
        number: Which change, from 0.

    Returns:
        Whether there were so many.
    """
    return _trace(function, number)[0]


def _fork(function, output, prepare=lambda: None):
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        sys.stdout = sys.stderr = os.fdopen(output, "w", buffering=1)
        prepare()
        function()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _stop_for_tracer():
    if _ptrace(_TRACEME, 0, 0, 0) == 0:
        os.kill(os.getpid(), signal.SIGSTOP)


def _trace(function, number):
    """Whether a child was killed at a change, and the changes that it made."""
    names = {
        numbers[_MACHINES.index(platform.machine())]: name
        for name, numbers in _CALLS.items()
    }
    output = os.memfd_create("output")
    child = _fork(function, output, _stop_for_tracer)
    done, info = [], (ctypes.c_uint64 * 11)()
    os.waitpid(child, os.WUNTRACED)
    _ptrace(_SET_OPTIONS, child, 0, _MARK_CALLS | _KILL_WITH_ME)
    delivered = 0
    while True:
        _ptrace(_SYSCALL, child, 0, delivered)
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            break
        stopped = os.WSTOPSIG(status)
        delivered = 0 if stopped == signal.SIGTRAP | 0x80 else stopped
        if delivered:
            continue
        _ptrace(_CALL_INFO, child, ctypes.sizeof(info), ctypes.addressof(info))
        # Its first byte tells entries from exits; then come the call and its arguments.
        if info[0] & 0xFF != 1 or not _is_change(names.get(info[3]), info[4:10]):
            continue
        if len(done) == number:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(output)
            return True, done
        done.append(names[info[3]])
    text = os.pread(output, 10_000, 0).decode()
    os.close(output)
    assert status == 0, f"the child ended with status {status}: {text}"
    return False, done


def _is_change(name, arguments) -> bool:
    if name in _OPENING:
        flags = arguments[_OPENING[name]]
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    return name is not None


def _ptrace(*arguments):
    return ctypes.CDLL(None).ptrace(*map(ctypes.c_long, arguments))
