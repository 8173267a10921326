"""Processes that answer commands: the client, and the loop that such a process runs.

A process runs this file with the path of a script and its arguments. It imports nothing
of this package, so that a script can measure the memory that a network takes. Commands
and answers are JSON, one a line.
"""

import contextlib
import json
import os
import runpy
import subprocess
import sys
import tempfile


class ProcessEndedError(ValueError):
    """A process ended before it answered.

    Attributes:
        status: Its exit status, the negated number of the signal that killed it.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class Worker:
    """A process that runs a script; it ends with the `with` block.

    Args:
        script: Path of a Python file with a function `start`. That takes `arguments`
            and returns what is `ready`, and a function of an integer for each command.
        **arguments: Numbers, texts and lists of them.

    Attributes:
        ready: What the script said when it had started.
        pid: Number of the process.

    Raises:
        ProcessEndedError: The process ended; `ask` raises it too.
    """

    def __init__(self, script: str, **arguments):
        self._about = ", ".join(f"{name}={arguments[name]!r}" for name in arguments)
        # Not the standard error of this process: runtimes write a line at each step.
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, script, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self.pid = self._process.pid
        try:
            self.ready = self._answer()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def ask(self, command: str, count: int):
        """Returns the script's answer to a command."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{json.dumps([command, count])}\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._log.close()

    def _answer(self):
        answer = self._process.stdout.readline()
        if answer:
            return json.loads(answer)
        status = self._process.wait()
        self._log.seek(0)
        last = "\n".join(self._log.read().strip().splitlines()[-5:])
        raise ProcessEndedError(
            f"The process for {self._about} ended with status {status}: {last}", status
        )


def serve(script: str, arguments: dict) -> None:
    """Runs a script, and answers commands until standard input ends.

    Args:
        script: As for `Worker`.
        arguments: Arguments of its function `start`.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    ready, commands = runpy.run_path(script)["start"](**arguments)
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        command, count = json.loads(line)
        print(json.dumps(commands[command](count)), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
