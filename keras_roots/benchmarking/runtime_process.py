"""A process that loads and runs one network, from outside."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from keras_roots.benchmarking import timer_process


@dataclasses.dataclass(frozen=True)
class Load:
    """What it takes to load and run a network in a process of its own.

    Attributes:
        load_ms: Time from opening the file to the first result, in milliseconds. The
            runtime is imported already, and the file in the system's cache.
        memory_mb: Resident memory that loading and running added at its peak, in
            megabytes (10^6 bytes), `None` where the system does not tell.
        peak_mb: Resident memory of the whole process at its peak.
    """

    load_ms: float
    memory_mb: float | None
    peak_mb: float | None


class RuntimeProcess:
    """A new process that has loaded a network and run it a few times.

    Args:
        runtime: As in `timers.Case`.
        path: What the runtime loads.
        threads: Number of threads.
        shape: Shape of the batch of images.

    Attributes:
        load: What that took.

    Raises:
        ValueError: The process fails.
    """

    def __init__(self, runtime: str, path: str, threads: int, shape: Sequence[int]):
        command = [sys.executable, "-P", timer_process.__file__, runtime, path]
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [*command, str(threads), json.dumps(shape)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        try:
            self.load = Load(**self._answer())
        except BaseException:
            self.close()
            raise

    def time(self, count: int) -> list[float]:
        """Returns the seconds that each of `count` calls takes."""
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()
        self._log.close()

    def _answer(self):
        answer = self._process.stdout.readline()
        if answer:
            return json.loads(answer)
        self._log.seek(0)
        raise ValueError(
            "The process that times the network ended: "
            + "\n".join(self._log.read().strip().splitlines()[-5:])
        )
