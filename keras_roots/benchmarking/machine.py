"""The processor and the versions of packages, which measured times depend on."""

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable

from keras_roots.benchmarking import other_runtimes
from keras_roots.export import host_target
from keras_roots.utils import checks

_PACKAGES = ("keras_roots", "keras", "tensorflow", "ai-edge-litert")


def processor() -> str:
    """Returns the name of the CPU, its instruction set and how many there are."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {host_target()}, {os.cpu_count()} CPUs"


def versions(runtimes: Iterable[str] = ()) -> str:
    """Returns the versions of the packages that latency depends on.

    Args:
        runtimes: Runtimes at work besides LiteRT and TensorFlow.
    """
    runtimes = checks.collection("runtimes", runtimes, "runtimes", str, empty=True)
    found = []
    own = sorted(set(runtimes) & set(other_runtimes.RUNTIMES))
    for package in (*_PACKAGES, *own):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(found)
