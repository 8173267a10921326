"""Memory that this process takes.

It imports nothing of this package, so that processes that measure can use it without.
"""

import contextlib
import dataclasses
import sys


@dataclasses.dataclass(frozen=True)
class ProcessMemory:
    """Resident memory of this process in bytes, `None` where the system does not tell.

    Attributes:
        current: What it takes now; Linux tells.
        peak: The most that it has ever taken; Linux and macOS tell.
    """

    current: int | None
    peak: int | None


def process_memory() -> ProcessMemory:
    """Returns the resident memory of this process, files that are mapped included.

    Example:
        >>> model.fit(images, labels); process_memory().peak
    """
    # Not `getrusage`, which on Linux counts the peak of the process that started this
    # one: https://man7.org/linux/man-pages/man2/getrusage.2.html.
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        sizes = dict(line.split(":", 1) for line in file)
        return ProcessMemory(
            current=1024 * int(sizes["VmRSS"].split()[0]),
            peak=1024 * int(sizes["VmHWM"].split()[0]),
        )
    if sys.platform != "darwin":
        return ProcessMemory(None, None)
    import resource

    return ProcessMemory(None, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def reset_peak() -> None:
    """Lets the peak start again from what the process takes now, if Linux permits."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
