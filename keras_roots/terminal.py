"""What reaches the terminal of a console script: no notes of TensorFlow and LiteRT."""

import io
import os
import sys
import tempfile

VERBOSE = "verbose"  # the argument of console scripts that asks for the notes
_SCRIPTS = "keras-roots-"

_notes: list[io.BufferedRandom] = []


def hush_scripts() -> None:
    """Keeps the notes of runtimes off the terminal, in a console script that is quiet.

    TensorFlow and LiteRT write them to the file descriptor of the standard error, from
    the moment that they are imported, and no setting of theirs turns all of them off.
    Python goes on writing to the terminal.
    """
    script = os.path.basename(sys.argv[0] if sys.argv else "")
    arguments = [argument.lstrip("-") for argument in sys.argv[1:]]
    if not script.startswith(_SCRIPTS) or VERBOSE in arguments or _notes:
        return
    terminal = os.dup(sys.stderr.fileno())
    _notes.append(tempfile.TemporaryFile())
    os.dup2(_notes[-1].fileno(), sys.stderr.fileno())
    sys.stderr = os.fdopen(terminal, "w", buffering=1, encoding="utf-8")


def tell() -> None:
    """Writes the notes to the standard error after all: they may say why."""
    for file in _notes:
        file.seek(0)
        sys.stderr.write(file.read().decode(errors="replace"))
