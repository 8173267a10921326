"""What reaches the terminal of a console script: no notes of TensorFlow and LiteRT."""

import faulthandler
import io
import os
import sys
import tempfile

VERBOSE = "verbose"  # the argument of console scripts that asks for the notes
_SCRIPTS = "keras-roots-"
_STDERR = 2
_TRUE = ("", "true", "t", "1")  # values of it that mean yes

_notes: list[io.BufferedRandom] = []


def hush_scripts() -> None:
    """Keeps the notes of runtimes off the terminal, in a console script that is quiet.

    TensorFlow and LiteRT write them to the file descriptor of the standard error, from
    the moment that they are imported, and no setting of theirs turns all of them off.
    Python goes on writing to the terminal.
    """
    script = os.path.basename(sys.argv[0] if sys.argv else "")
    if not script.startswith(_SCRIPTS) or _is_verbose(sys.argv[1:]) or _notes:
        return
    try:
        _notes.append(tempfile.TemporaryFile())
    except OSError:  # no folder for one
        return
    if sys.stderr is None:  # closed: the next file opened would get the notes
        sys.stderr = open(os.devnull, "w")
    else:
        sys.stderr = os.fdopen(
            os.dup(_STDERR), "w", 1, "utf-8", errors="backslashreplace"
        )
    os.dup2(_notes[-1].fileno(), _STDERR)
    faulthandler.enable(sys.stderr)  # where a crash was; runtimes say it in the notes


def _is_verbose(arguments) -> bool:
    given = [argument.lstrip("-") for argument in arguments if argument[:1] == "-"]
    pairs = [argument.partition("=") for argument in given]
    return any(name == VERBOSE and value.lower() in _TRUE for name, _, value in pairs)


def tell() -> None:
    """Writes the notes to the standard error after all: they may say why."""
    for file in _notes:
        file.seek(0)
        sys.stderr.write(file.read().decode(errors="replace"))
