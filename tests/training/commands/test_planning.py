"""The command that measures planning."""

import csv
import io

import pytest

from keras_roots.training.commands.planning import Planning


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
