"""Damaged JSON of runs and zoos: refused by the file's name, or it is JSON still."""

import json

import damages
import numpy as np
import pytest

from keras_roots.training import runs
from keras_roots.training.reports.release import read_index
from keras_roots.training.stages import Outcome

CONFIG = {"model": "root_nin", "dataset": "digits", "recipe": {"epochs": 3}}
RESULT = {"top1": 0.75, "images": 400, "versions": "keras 3"}
ENTRY = {"model": "root_nin", "root": 8, "weights": "cifar10", "file": "a.h5"}

# File, what it holds, and how it is read from the folder.
CASES = {
    runs.CONFIG: (CONFIG, lambda folder: runs.claim_directory(folder, CONFIG)),
    runs.RESULT: (RESULT, lambda folder: Outcome(folder.parent, ("run",)).last()),
    "index.json": ({"released": [ENTRY]}, read_index),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("damage", damages.DAMAGES)
def test_damaged_json(name, damage, tmp_path, faults, count):
    content, read = CASES[name]
    folder = tmp_path / "run"
    folder.mkdir()
    whole = json.dumps(content, indent=2).encode()
    rng = np.random.default_rng(0)
    for _ in range(faults):
        (folder / name).write_bytes(damage(whole, rng))
        try:
            found = read(folder)
        except ValueError as error:
            assert str(folder) in str(error) and "\n" not in str(error)
        else:
            # JSON has no checksum: a configuration alone is compared as a whole.
            kind = {runs.CONFIG: bool, runs.RESULT: dict, "index.json": list}[name]
            assert isinstance(found, kind)
            if kind is list:
                assert all(isinstance(entry, dict) for entry in found)
            text = (folder / name).read_text()
            assert name != runs.CONFIG or json.loads(text) == CONFIG
    count(f"damaged {name}", faults)
