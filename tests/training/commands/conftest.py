"""Console scripts, run without a process of their own, which imports for seconds."""

import logging
import subprocess
import sys

import pytest
from absl import app
from absl import flags as absl_flags
from absl import logging as absl_logging

from keras_roots.training import runs
from keras_roots.training.commands import flags


@pytest.fixture
def run_command(monkeypatch, tmp_path, capfd):
    """Function `(run, *arguments)` of a `flags.command` and its command line.

    It runs in `tmp_path`; returns what `subprocess.run` of the script would. What a
    process leaves behind is put back: flags, the name of the command, what is logged.
    """
    app.define_help_flags()
    monkeypatch.setattr(runs, "_COMMAND", [None])
    monkeypatch.setattr(sys.modules["__main__"], "__doc__", None)
    verbosity, tensorflow = (
        absl_logging.get_verbosity(),
        logging.getLogger("tensorflow"),
    )
    level = tensorflow.level

    def run(command, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["keras-roots", *map(str, arguments)])
        capfd.readouterr()
        try:
            command()
        except SystemExit as end:
            code = end.code
        finally:
            for name in flags.names(command.classes):
                delattr(absl_flags.FLAGS, name)
        printed = capfd.readouterr()
        message = f"{code}\n" if isinstance(code, str) else ""
        return subprocess.CompletedProcess(
            arguments,
            1 if message else code or 0,
            printed.out,
            printed.err + message,
        )

    yield run
    absl_logging.set_verbosity(verbosity)
    tensorflow.setLevel(level)
