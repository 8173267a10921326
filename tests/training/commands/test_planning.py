"""The command that measures planning."""

import csv
import io

import helpers
import pytest

from keras_roots.training.commands import flags, planning
from keras_roots.training.commands.planning import Planning
from keras_roots.utils import save_model


def test_options_that_cannot_be():
    with pytest.raises(ValueError, match="table"):
        Planning(table="speed")


def test_binary(run_python, tmp_path):
    """What is printed is written too."""
    printed = run_python(
        f"""
import sys
from keras_roots.training.commands import planning
sys.argv = ["keras-roots-planning", "--models=root_convnet", "--samples=4",
            "--output={tmp_path / "times.csv"}"]
try:
    planning.run()
except SystemExit as end:
    assert not end.code
"""
    )
    text = printed[printed.index("network,") :]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["step"] for row in rows] == ["plan", "apply"]
    assert {row["network"] for row in rows} == {"root_convnet"}
    assert (tmp_path / "times.csv").read_text() == text


def _made(*arguments):
    planning.main(flags.parse(planning.run.classes, arguments))


@pytest.mark.parametrize(
    ("table", "rows"), [("order", 1 + 3 * 2), ("judge", 1 + 2 * 3)]
)
def test_comparisons_of_a_file(table, rows, tmp_path, capsys):
    """A network in a file, on any data set; the row has no path in it."""
    file, output = str(tmp_path / "mine.keras"), tmp_path / "rows.csv"
    save_model(helpers.convolutions(), file)
    _made(
        f"--table={table}",
        f"--models={file}",
        f"--dataset={helpers.colours(tmp_path / 'colours.npz', train=60)}",
        "--holdout=20",
        "--samples=30",
        "--seeds=1",
        f"--output={output}",
    )
    text = output.read_text()
    assert capsys.readouterr().out == text
    found = helpers.read_rows(output)
    assert len(found) == rows
    assert {row["network"] for row in found} == {"mine"}
    assert {row["images"] for row in found if not row["refused"]} == {"20"}


@pytest.mark.parametrize("table", ["order", "judge"])
@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("root_convnet:1,keras.applications.VGG16", "Received: keras.applications"),
        ("root_convnet:1", "Released for root_convnet"),
        ("none.keras", "existing .keras file"),
    ],
)
def test_networks_without_weights(table, models, message, capsys):
    with pytest.raises(ValueError, match=message):
        _made(f"--table={table}", f"--models={models}", "--dataset=digits")
    assert not capsys.readouterr().out
