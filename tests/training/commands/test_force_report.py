"""The command that reports compressions with forces."""

import pytest

from keras_roots.training.commands.force_report import Folders


@pytest.mark.parametrize("folders", [{}, {"runs": "a"}, {"output_dir": "b"}])
def test_both_folders_are_required(folders):
    with pytest.raises(ValueError, match="`runs` and `output_dir` are required"):
        Folders(**folders)


def test_binary(run_python):
    printed = run_python(
        """
import sys
from keras_roots.training.commands import force_report
sys.argv = ["keras-roots-force-report", "--runs=.", "--output_dir=report"]
try:
    force_report.run()
except SystemExit as end:
    print(end.code)
"""
    )
    assert printed.startswith("error: `runs` must be a folder with output directories")
