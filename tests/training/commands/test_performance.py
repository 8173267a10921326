"""The command that measures everything for the page of results."""

import pytest

from keras_roots.training.commands.performance import Performance


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "`output_dir` is required"),
        ({"output_dir": "a", "convert_only": True}, "`convert_only` needs `files_dir`"),
        (
            {"output_dir": "a", "suite": ("ratios", "speed")},
            r"`suite` must be of \('ratios',.*'ratios', 'speed'",
        ),
    ],
)
def test_options_that_cannot_be(values, text):
    with pytest.raises(ValueError, match=text):
        Performance(**values)


def test_binary(run_python):
    printed = run_python(
        """
import sys
from keras_roots.training.commands import performance
performance.performance.convert = lambda *how: print("converting", *how[:2])
sys.argv = ["keras-roots-performance", "--output_dir=new", "--files_dir=files",
            "--convert_only", "--suite=ratios", "--quick"]
try:
    performance.run()
except SystemExit as end:
    print("ended with", end.code)
sys.argv = ["keras-roots-performance", "--output_dir=new", "--plot_only"]
try:
    performance.run()
except SystemExit as end:
    print("ended with", end.code)
"""
    )
    converted, first, second = printed.splitlines()
    assert converted.count("Trial(model='root_resnet50:64'") == 4
    assert "root_googlenet" not in converted and converted.endswith(" files")
    assert first == "ended with None"
    assert second.startswith("ended with error: `output_dir` must hold results")
