"""Disks that are full: one line that names file and cause, and what was there stays."""

import json
import os
import subprocess
import sys

import helpers
import pytest
from small_stages import Biased

from keras_roots import utils
from keras_roots.training import stages
from keras_roots.training.stages import Context

# Everything that a user can have written, on a disk that holds none of it.
SCRIPT = """
import gc, json, os, sys
import keras
import numpy as np
import keras_roots
from keras_roots import utils
from keras_roots.training import runs, trainer

folder = sys.argv[1]
model = keras.Sequential([
    keras.Input((8, 8, 3)),
    keras.layers.Conv2D(64, 3),
    keras.layers.Conv2D(128, 3),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(10),
])

def keras_file(path):
    with utils.replacing(path) as temporary:
        utils.save_model(model, temporary)

WRITERS = {
    "last.weights.h5": lambda path: trainer.save_checkpoint(path, model.save_weights),
    "model.keras": keras_file,
    "saved": lambda path: keras_roots.export_saved_model(model, path),
    "model.tflite": lambda path: keras_roots.export_tflite(model, path),
    "page.html": lambda path: utils.write_text(path, "x" * 400_000),
    "table.csv": lambda path: utils.write_csv(path, [{"a": "x" * 400_000}]),
    "run": lambda path: runs.claim_directory(path, {"flag": "x" * 400_000}),
}
found = {}
for name, write in WRITERS.items():
    try:
        write(os.path.join(folder, name))
        found[name] = "it was written"
    except OSError as error:
        found[name] = str(error)
    gc.collect()
print(json.dumps(found))
"""


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user cannot mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing(small_disk, count):
    (small_disk / "table.csv").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(small_disk)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr  # HDF5 may crash at the end
    assert "ignored" not in done.stderr and "Traceback" not in done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name, message in found.items():
        path = small_disk / name / ("config.json" if name == "run" else "")
        assert message == (
            "`path` cannot be written: No space left on device. "
            f"Received: path={str(path)!r}"
        )
    assert (small_disk / "table.csv").read_text() == "old"
    assert sorted(os.listdir(small_disk)) == ["run", "table.csv"]
    assert os.listdir(small_disk / "run") == []
    count("outputs on a full disk", len(found))


def test_a_read_only_disk_is_read(small_disk, tmp_path, count):
    """A run that is done is found; what is to be written names file and cause."""
    said = []
    context = Context(helpers.noise(6, 4, 2), small_disk / "run", say=said.append)

    def run(*course):
        start = {"network": "small"}
        return stages.run(course, context, helpers.scores, start)

    run(Biased("first", 1.0))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said.clear()
    assert run(Biased("first", 1.0)).done == ["first"]
    assert said[0].startswith("first: done already")
    with pytest.raises(OSError, match="Read-only file system: '.*second'"):
        run(Biased("first", 1.0), Biased("second", 1.0))
    with pytest.raises(OSError, match="`path` must be in a folder.*page.*Read-only"):
        utils.write_text(small_disk / "page.html", "text")
    count("outputs on a read-only disk", 2)
