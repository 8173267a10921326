"""What console scripts write to the terminal, in processes without TensorFlow."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import keras_roots

SCRIPT = """
    import importlib.util, os, sys
    spec = importlib.util.spec_from_file_location("terminal", {path!r})
    terminal = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(terminal)
    terminal.hush_scripts()
    os.write(2, b"a note\\n")
    print("progress é", file=sys.stderr)
    if "tell" in sys.argv:
        terminal.tell()
"""


def stderr(tmp_path, name, *arguments):
    path = str(Path(keras_roots.__file__).with_name("terminal.py"))
    script = tmp_path / name
    script.write_text(textwrap.dedent(SCRIPT.format(path=path)))
    command = [sys.executable, script, *arguments]
    run = subprocess.run(command, capture_output=True, check=True)
    return run.stderr.decode().splitlines()


@pytest.mark.parametrize(
    ("name", "arguments", "lines"),
    [
        ("keras-roots-train", (), ["progress é"]),
        ("keras-roots-train", ("--verbose",), ["a note", "progress é"]),
        ("keras-roots-train", ("tell",), ["progress é", "a note"]),
        ("mine.py", (), ["a note", "progress é"]),
    ],
)
def test_notes_of_runtimes_are_kept_from_console_scripts(
    tmp_path, name, arguments, lines
):
    assert stderr(tmp_path, name, *arguments) == lines
