"""The processor and the versions of packages, which measured times depend on."""

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable

from keras_roots.benchmarking import other_runtimes
from keras_roots.utils import checks

_PACKAGES = ("keras_roots", "keras", "tensorflow", "ai-edge-litert")


def processor() -> str:
    """Returns the name of the CPU and how many of it this process may use."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {os.cpu_count()} CPUs"


def host_target() -> str:
    """Returns the target, of `export.TARGETS`, that this machine is most like."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        if "avx512" in file.read():
            return "avx512"
    arm = platform.machine().lower() in ("arm64", "aarch64")
    return "neon" if arm else "avx2"


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
