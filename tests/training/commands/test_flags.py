"""Flags from the options of dataclasses."""

import subprocess
import sys

import pytest
from absl import flags as absl_flags

from keras_roots.training import runs
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


@options
class Word:
    """A word."""

    word: str = option("none", "Which word.")


def _main(given):
    if given[Word].word == "bad":
        raise ValueError("`word` must be good")
    print("word", given[Word].word, "by", runs.describe()["command"])


_main.__module__ = "keras_roots.training.say"
say = flags.command(_main, "Says a word.", Word)


def test_results_name_the_command(run_command):
    done = run_command(say, "--word", "a b")
    assert done.returncode == 0
    assert done.stdout == "word a b by keras-roots-say '--word=a b'\n"


def test_a_binary_says_what_is_wrong_in_one_line(run_command):
    failed = run_command(say, "--word=bad")
    assert failed.returncode == 1
    assert failed.stderr == "error: `word` must be good\n"
    assert "Unexpected arguments: more" in run_command(say, "more").stderr


def test_help_lists_the_flags(run_command):
    text = run_command(say, "--help").stdout
    assert text.lstrip().startswith("Says a word.")
    assert "--word: Which word." in text


BINARY = """
import sys
from keras_roots.training.commands import release
sys.argv[0] = "keras-roots-release"
release.run()
"""


def test_a_binary_in_a_process_of_its_own():
    """As a console script calls it: the other tests run it in theirs."""
    done = subprocess.run(
        [sys.executable, "-c", BINARY, "--run=mine", "--cards"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: Give either --run, the output directory")
    assert "Traceback" not in done.stderr


def test_ctrl_c_is_no_traceback(capsys, monkeypatch):
    def stopped(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_COMMAND", [None])
    monkeypatch.setattr(flags.warnings, "formatwarning", None)
    given = flags.parse([], [])
    with pytest.raises(SystemExit) as end:
        flags._guarded(stopped, given, "keras-roots-train", ["keras-roots-train"])
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
