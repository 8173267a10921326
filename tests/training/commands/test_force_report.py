"""The command that reports compressions with forces."""

import pytest

from keras_roots.training.commands import force_report
from keras_roots.training.commands.force_report import Folders


@pytest.mark.parametrize("folders", [{}, {"runs": "a"}, {"output_dir": "b"}])
def test_both_folders_are_required(folders):
    with pytest.raises(ValueError, match="`runs` and `output_dir` are required"):
        Folders(**folders)


def test_binary(run_command):
    done = run_command(force_report.run, "--runs=.", "--output_dir=report")
    assert done.returncode == 1
    expected = "error: `runs` must be a folder with output directories"
    assert done.stderr.startswith(expected)
