"""The binary that releases networks; what it calls has tests of its own."""

import json

import pytest

from keras_roots.models import released
from keras_roots.training import reports
from keras_roots.training.commands import release


def test_a_run_is_released(run_command, monkeypatch):
    def made(*values, **named):
        return [list(map(str, values)), named]

    monkeypatch.setattr(reports, "release", made)
    arguments = ["--run=runs/mine", "--as=cifar10-mine", "--zoo=there"]
    arguments += ["--data_dir=data", "--threads=2"]
    done = run_command(release.run, *arguments)
    assert done.returncode == 0, done.stderr
    values, named = json.loads(done.stdout)
    assert values == ["runs/mine", "there", "cifar10-mine"]
    assert named == {"data_dir": "data", "threads": 2}


def test_cards_are_written_anew(run_command, tmp_path):
    entries = [e for e in released.index() if e["model"] == "root_convnet"]
    (tmp_path / "index.json").write_text(json.dumps({"released": entries}))
    done = run_command(release.run, "--cards", "--zoo=.")
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "cards" / "root_convnet.md").read_text()
    assert card.startswith("# ConvNet (Caffe's cifar10_full): cifar10\n")


@pytest.mark.parametrize("arguments", [[], ["--run=mine", "--cards"]])
def test_a_run_or_cards(run_command, arguments):
    done = run_command(release.run, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Give either --run")
