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


def command(tmp_path, name, *arguments, script=SCRIPT):
    path = str(Path(keras_roots.__file__).with_name("terminal.py"))
    file = tmp_path / name
    file.write_text(textwrap.dedent(script.format(path=path)), "utf-8")
    return [sys.executable, str(file), *arguments]


@pytest.mark.parametrize(
    ("name", "arguments", "lines"),
    [
        ("keras-roots-train", (), ["progress é"]),
        ("keras-roots-train", ("--verbose",), ["a note", "progress é"]),
        ("keras-roots-train", ("--verbose=true",), ["a note", "progress é"]),
        ("keras-roots-train", ("--noverbose",), ["progress é"]),
        ("keras-roots-train", ("--verbose=false",), ["progress é"]),
        ("keras-roots-train", ("tell",), ["progress é", "a note"]),
        ("mine.py", (), ["a note", "progress é"]),
    ],
)
def test_notes_of_runtimes_are_kept_from_console_scripts(
    tmp_path, name, arguments, lines
):
    run = subprocess.run(
        command(tmp_path, name, *arguments), capture_output=True, check=True
    )
    assert run.stderr.decode().splitlines() == lines


def test_a_closed_standard_error(tmp_path):
    """No file that is opened later takes its place, and gets the notes."""
    script = (
        SCRIPT
        + """
    with open("mine", "w") as file:
        os.write(2, b"another note")
        file.write("mine alone")
"""
    )
    own = command(tmp_path, "keras-roots-train", script=script)
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", *own]
    subprocess.run(closed, check=True, cwd=tmp_path)
    assert (tmp_path / "mine").read_text() == "mine alone"


def test_no_folder_for_notes(tmp_path):
    """They reach the terminal then."""
    lost = "import tempfile; tempfile.tempdir = '/proc/none'\n"
    own = command(tmp_path, "keras-roots-train", script=lost + textwrap.dedent(SCRIPT))
    run = subprocess.run(own, capture_output=True, check=True)
    assert run.stderr.decode().splitlines() == ["a note", "progress é"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("print(chr(0xdcff), file=sys.stderr)", "\\udcff"),  # a name that is no UTF-8
        ("os.abort()", "Fatal Python error: Aborted"),
    ],
)
def test_what_reaches_the_terminal(tmp_path, line, expected):
    script = SCRIPT + f"    {line}\n"
    own = command(tmp_path, "keras-roots-train", script=script)
    run = subprocess.run(own, capture_output=True, check=False)
    lines = run.stderr.decode().splitlines()
    assert lines[:2] == ["progress é", expected]
