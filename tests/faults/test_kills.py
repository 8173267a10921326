"""Processes that are killed before each call that changes a file.

What was there, or what was to come, is there afterwards, whole; the same call then
completes, and leaves nothing behind.
"""

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import children
import h5py
import numpy as np
import pytest

from keras_roots import utils
from keras_roots.training import runs
from keras_roots.training.trainer import checkpoints
from keras_roots.utils import replacement

pytestmark = pytest.mark.skipif(
    not children.can_trace(), reason="needs ptrace, on Linux"
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A call that changes files in a folder.

    Attributes:
        act: The call.
        read: Function of the folder that returns what a reader finds in it.
        prepare: Function that fills the folder before.
        between: What a reader may find after a kill, apart from what it finds before
            the call and after.
        recover: Called before a reader looks, where the system needs the next call to
            complete the last.
    """

    act: Callable[[Path], None]
    read: Callable[[Path], object]
    prepare: Callable[[Path], None] = lambda folder: None
    between: tuple = ()
    recover: Callable[[Path], None] = lambda folder: None


def read_tree(folder, name="out"):
    root = folder / name
    return {
        str(path.relative_to(root)): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }


def write_tree(text):
    """A folder as a SavedModel is one."""

    def write(folder):
        with utils.replacing(folder / "out", folder=True) as temporary:
            Path(temporary, "variables").mkdir()
            for name in ("saved_model.pb", "variables/index", f"variables/{text}"):
                Path(temporary, name).write_text(text)

    return write


def without_exchange(write):
    def stepping_aside(folder):
        with mock.patch.object(replacement, "_renameat2", lambda: None):
            write(folder)

    return stepping_aside


CONFIG = {"model": "root_nin", "seed": 0}


def claim(folder):
    runs.claim_directory(folder / "run" / "stage", CONFIG)


def claimed(folder):
    path = folder / "run" / "stage" / runs.CONFIG
    return json.loads(path.read_text()) if path.exists() else None


def hold(folder):
    with runs.hold_directory(folder / "run" / "stage"):
        claim(folder)
        utils.write_text(folder / "run" / "stage" / runs.RESULT, "{}")


def make_stage(folder):
    for name in ("result.json", "segment0/log.csv", "model.keras"):
        path = folder / "elsewhere" / "stage" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    runs.claim_directory(folder / "run" / "stage", CONFIG)


def take_over(folder):
    utils.copy(folder / "elsewhere" / "stage", folder / "run" / "stage")


def save_epoch(epoch):
    """Writes log, best weights and state as the callbacks do."""

    def write(value):
        def save(file):
            with h5py.File(file, "w") as content:
                content["layers/dense/vars/0"] = np.full(10, value, "float32")
                content["optimizer/vars/0"] = value

        return save

    def save(folder):
        rows = [{"epoch": i, "val_accuracy": i / 10} for i in range(1, epoch + 1)]
        utils.write_csv(folder / checkpoints.LOG, rows)
        checkpoints.save_checkpoint(folder / checkpoints.BEST, write(epoch))
        text = checkpoints.log_text(rows)
        checkpoints.save_checkpoint(folder / checkpoints.LAST, write(epoch), text)

    return save


def read_epochs(folder):
    """Epochs of the best weights and of the state, whose log is compared."""
    found = {}

    def load(path):
        with h5py.File(path) as content:
            found[path] = int(content["optimizer/vars/0"][()])
            assert (content["layers/dense/vars/0"][()] == found[path]).all()

    for name in (checkpoints.BEST, checkpoints.LAST):
        checkpoints.load_checkpoint(folder / name, load)
    best, last = found.values()
    rows = checkpoints.resumed_log(folder, last, "val_accuracy")
    assert len(rows) == last
    return best, last


CASES = {
    "a text behind a link": Case(
        lambda folder: utils.write_text(folder / "out", "new"),
        lambda folder: (folder / "out").read_text(),
        lambda folder: (
            (folder / "real").write_text("old"),
            os.symlink("real", folder / "out"),
        ),
    ),
    "a folder": Case(write_tree("new"), read_tree, write_tree("old")),
    "a folder that steps aside": Case(
        without_exchange(write_tree("new")),
        read_tree,
        write_tree("old"),
        recover=replacement.remove_leftovers,
    ),
    "a run's folder": Case(claim, claimed),
    "a run's folder that is held": Case(hold, claimed),
    "a stage that is copied": Case(
        take_over, lambda folder: read_tree(folder, "run/stage"), make_stage
    ),
    "a checkpoint": Case(save_epoch(2), read_epochs, save_epoch(1), between=((2, 1),)),
}


def snapshot(folder):
    """All files and folders, lock files of killed processes aside."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name != runs.LOCK
    )


def fresh(case, folder):
    folder.mkdir()
    case.prepare(folder)
    return folder


def check_after_kill(case, folder, expected):
    case.recover(folder)
    found = case.read(folder)
    assert found in expected, f"neither old nor new: {found}"


@pytest.fixture
def where(tmp_path):
    """A folder in memory, if there is one, where waiting for the disk takes no time."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    return request.param


@pytest.fixture
def known(case, where):
    """What a reader may find, before and after the call, and what is there after it."""
    folder = fresh(case, where / "whole")
    before = case.read(folder)
    case.act(folder)
    return (before, case.read(folder), *case.between), snapshot(folder)


def test_a_kill_at_every_change(case, known, where, count):
    expected, holds = known
    assert expected[0] != expected[1]
    number = 0
    while True:
        folder = fresh(case, where / str(number))
        if not children.kill_at(lambda folder=folder: case.act(folder), number):
            break
        check_after_kill(case, folder, expected)
        case.act(folder)
        assert (case.read(folder), snapshot(folder)) == (expected[1], holds)
        number += 1
    assert number > 3
    count("kills, one at each change of a file", number)


def test_kills_one_after_the_other(case, known, where, faults, count):
    """What one has left is cleaned up by the next, which is killed too."""
    expected, holds = known
    rng = np.random.default_rng(len(expected[0] or ()))
    folder = fresh(case, where / "killed")
    kills = 0
    for _ in range(faults // 8):
        number = int(rng.integers(0, 25))
        kills += children.kill_at(lambda: case.act(folder), number)
        check_after_kill(case, folder, expected)
    case.act(folder)
    assert (case.read(folder), snapshot(folder)) == (expected[1], holds)
    count("kills, one after the other", kills)


def renaming(made):
    return next(i for i, name in enumerate(made) if name.startswith("rename"))


def test_what_is_written_is_on_the_disk_before_it_has_its_name(where):
    """A crash of the system loses nothing either."""
    made = children.changes(lambda: utils.write_text(where / "out", "new"))
    written, moved = made.index("write"), renaming(made)
    assert "fsync" in made[written:moved] and "fsync" in made[moved:]
    (where / "folder").mkdir()
    write_tree("old")(where / "folder")
    made = children.changes(lambda: write_tree("new")(where / "folder"))
    moved = renaming(made)
    assert made[:moved].count("fsync") >= 5 and "fsync" in made[moved:]
