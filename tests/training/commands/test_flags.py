"""Flags from the options of dataclasses."""

import subprocess
import sys

import pytest
from absl import flags as absl_flags

from keras_roots.training.commands import flags
from keras_roots.training.options import option, options


@options
class Size:
    """How large."""

    size: int = option(3, "How large it is.", least=1, most=9)
    groups: int | tuple[int, ...] = option(1, "Groups.")
    ratio: float | None = option(None, "A part.", least=0)
    data_dir: str | None = option(None, "Where data is.")


@options
class Kind:
    """What it is."""

    path: str | None = option(None, "A file.", flag="from")
    kind: str = option("a", "What it is.", choices=("a", "b"))
    names: tuple[str, ...] = option(("x",), "Names.")
    fast: bool = option(False, "Whether it is fast.")
    pairs: dict | None = option(
        None, "Pairs.", parse=lambda text: dict([text.split("=")])
    )
    many: tuple[str, ...] = option(
        ("p", "q"), "Many.", choices=("p", "q"), repeated=True
    )


def parse(*arguments):
    return flags.parse((Size, Kind), arguments)


def test_defaults():
    given = parse()
    assert given[Size] == Size()
    assert given[Kind] == Kind()
    assert not given.present("size")


def test_values_reach_the_options():
    given = parse(
        "--size=5",
        "--groups=8,4",
        "--ratio=0.5",
        "--from=a.keras",
        "--kind=b",
        "--names=y,z",
        "--fast",
        "--pairs=a=1",
        "--many=q",
    )
    assert given[Size] == Size(5, (8, 4), 0.5)
    assert given[Kind] == Kind("a.keras", "b", ("y", "z"), True, {"a": "1"}, ("q",))
    assert given.present("size")
    assert given.value("from") == "a.keras"


@pytest.mark.parametrize(
    "argument",
    ["--size=0", "--size=10", "--kind=c", "--groups=8,x", "--ratio=-1", "--no_such=1"],
)
def test_impossible_values(argument):
    with pytest.raises(absl_flags.Error):
        parse(argument)


def test_a_flag_of_two_classes_means_one_thing():
    @options
    class Same:
        """The same size."""

        size: int = option(3, "How large it is.")

    @options
    class Other:
        """Another size."""

        size: int = option(4, "How large it is.")

    assert flags.parse((Size, Same), ["--size=7"])[Same].size == 7
    with pytest.raises(ValueError, match="--size means"):
        flags.parse((Size, Other), [])


def test_the_command_line_runs_again_elsewhere():
    given = parse(
        "--names=a b,c", "--data_dir=/here", "--groups=8,4", "--nofast", "--many=q"
    )
    assert given.command("keras-roots-x") == (
        "keras-roots-x --groups=8,4 '--names=a b,c' --nofast --many=q"
    )


BINARY = """
import sys
from keras_roots.training.commands import flags
from keras_roots.training.options import option, options

@options
class Word:
    '''A word.'''
    word: str = option("none", "Which word.")

def main(given):
    if given[Word].word == "bad":
        raise ValueError("`word` must be good")
    print("word", given[Word].word)

main.__module__ = "keras_roots.training.say"
flags.command(main, "Says a word.", Word)()
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", BINARY, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_results_name_the_command(run_python):
    code = BINARY.replace("print(", "from keras_roots.training import runs; print(")
    code = code.replace('"word", given[Word].word', 'runs.describe()["command"]')
    code = code.replace("import sys", "import sys; sys.argv = ['x', '--word', 'a b']")
    assert run_python(code).splitlines()[-1] == "keras-roots-say '--word=a b'"


def test_a_binary_runs_and_says_what_is_wrong_in_one_line():
    done = run("--word=good")
    assert (done.returncode, done.stdout) == (0, "word good\n")
    failed = run("--word=bad")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == "error: `word` must be good"
    assert "Traceback" not in failed.stderr
    assert "Unexpected arguments: more" in run("more").stderr


def test_help_lists_the_flags():
    text = run("--help").stdout
    assert text.lstrip().startswith("Says a word.")
    assert "--word: Which word." in text
