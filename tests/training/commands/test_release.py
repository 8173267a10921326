"""The binary that releases networks; what it calls has tests of its own."""

import json

import pytest

from keras_roots.models import released

# In a process of its own: absl's flags are global.
_RUN = """
import sys
from keras_roots.training import reports
from keras_roots.training.commands import release
def made(*values, **named):
    return [list(map(str, values)), named]
reports.release = made
sys.argv = ["release", *{arguments}]
try:
    release.run()
except SystemExit as error:
    print(error.code)
"""


def test_a_run_is_released(run_python):
    arguments = ["--run=runs/mine", "--as=cifar10-mine", "--zoo=there"]
    arguments += ["--data_dir=data", "--threads=2"]
    printed = run_python(_RUN.format(arguments=arguments))
    values, named = json.loads(printed.removesuffix("0\n").removesuffix("None\n"))
    assert values == ["runs/mine", "there", "cifar10-mine"]
    assert named == {"data_dir": "data", "threads": 2}


def test_cards_are_written_anew(run_python, tmp_path):
    entries = [e for e in released.index() if e["model"] == "root_convnet"]
    (tmp_path / "index.json").write_text(json.dumps({"released": entries}))
    run_python(_RUN.format(arguments=["--cards", "--zoo=."]))
    card = (tmp_path / "cards" / "root_convnet.md").read_text()
    assert card.startswith("# ConvNet (Caffe's cifar10_full): cifar10\n")


@pytest.mark.parametrize("arguments", [[], ["--run=mine", "--cards"]])
def test_a_run_or_cards(run_python, arguments):
    printed = run_python(_RUN.format(arguments=arguments))
    assert printed.startswith("error: Give either --run")
