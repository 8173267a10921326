"""The other end of `operation_process`."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile

from keras_roots.benchmarking.operation_lines import Line, parse_summary

_TESTED = "2.2 and 2.3"


class Worker:
    """A process that runs one LiteRT file, and ends with the `with` block.

    Args:
        file: Path of the file.
        threads: Number of threads.

    Raises:
        ValueError: The process ends, or does not say what is expected; this may come
            from whatever is asked.
    """

    def __init__(self, file: str | os.PathLike, threads: int):
        self._file = os.fspath(file)
        self._threads = threads
        self._kernels = None

    def __enter__(self):
        script = os.path.join(os.path.dirname(__file__), "operation_process.py")
        # LiteRT writes a line for whatever it does.
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-P", script, self._file, str(self._threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        try:
            self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._log.close()

    def ask(self, command: str, count: int) -> list:
        """Returns what `operation_process` answers to a command."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{command} {count}\n")
            self._process.stdin.flush()
        return self._answer()

    def profile(self, count: int) -> list[list[Line]]:
        """Returns the kernels that run in each of `count` calls."""
        texts = self.ask("profile", count)
        try:
            runs = [parse_summary(text) for text in texts]
        except ValueError as error:
            raise self._failed(str(error)) from error
        for lines in runs:
            kernels = [(line.kernel, line.index, line.calls) for line in lines]
            self._kernels = self._kernels or kernels
            if kernels != self._kernels:
                raise self._failed("it tells of other operations in every call")
        return runs

    def _answer(self):
        answer = self._process.stdout.readline()
        if answer:
            return json.loads(answer)
        status = self._process.wait()
        self._log.seek(0)
        said = self._log.read().strip().splitlines()[-1:]
        raise self._failed(f"its process ended with status {status}: {''.join(said)}")

    def _failed(self, reason) -> ValueError:
        import ai_edge_litert

        version = getattr(ai_edge_litert, "__version__", "unknown")
        return ValueError(
            f"LiteRT cannot profile the file {self._file!r}: {reason}. Profiles work "
            f"with ai-edge-litert {_TESTED}. Received: version {version}"
        )
