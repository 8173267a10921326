"""Two processes, one folder: the second says who works there, and readers read."""

import dataclasses
import os
import re
import signal

import children
import helpers
import pytest
from small_stages import Biased

from keras_roots.training import experiments, runs, stages
from keras_roots.training.experiments.rows import Row
from keras_roots.training.stages import Context, Outcome
from keras_roots.utils import locks

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="there are no locks")


@pytest.fixture
def context(tmp_path):
    dataset = helpers.noise(6, 4, 2)
    return Context(dataset, tmp_path / "runs" / "run", say=lambda line: None)


COURSE = [Biased("first", 1.0), Biased("second", 2.0)]


def run(context, start=helpers.scores):
    return stages.run(COURSE, context, start, {"network": "small"})


def wait():
    """A start that takes until the process is killed."""
    print("works")
    signal.pause()


def test_the_second_says_who_works_there(context, count):
    with children.started(lambda: run(context, wait)) as (worker, output):
        assert output.readline() == "works\n"
        with pytest.raises(ValueError) as found:
            run(context)
        message = (
            rf"`output_dir` '.*run' is in use by process {worker} on '.+' since "
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: wait until that has ended, or "
            "choose another directory"
        )
        assert re.fullmatch(message, str(found.value))
        assert [path.name for path in context.folder.iterdir()] == [runs.LOCK]
    # The worker was killed: its lock is taken over.
    assert run(context).missing == []
    held = {path.name for path in context.folder.iterdir()}
    assert held == {"first", "second"}
    count("two processes in a folder", 1)


def test_readers_are_not_blocked(context, count):
    outcome = run(context)
    with children.started(lambda: hold(context.folder)) as (_, output):
        assert output.readline() == "holds\n"
        again = Outcome(context.folder, outcome.names)
        assert again.done == ["first", "second"]
        assert again.model("second").layers[-1].get_weights()[1].tolist() == [3, 3]
        file = context.folder / "second" / runs.MODEL
        assert runs.data_set_of(file) == context.dataset.name
        with pytest.raises(ValueError, match="is in use by process"):
            run(context)
    count("two processes in a folder", 1)


def hold(folder):
    with runs.hold_directory(folder):
        print("holds")
        signal.pause()


def test_rows_of_a_table_run_side_by_side(context, tmp_path, count):
    """A row is a folder: another process may run the next one."""
    other = dataclasses.replace(context, folder=tmp_path / "runs" / "other")
    with children.started(lambda: hold(context.folder)) as (_, output):
        assert output.readline() == "holds\n"
        assert run(other).missing == []
    count("two processes in a folder", 1)


def test_a_table_is_measured_by_one(context, tmp_path, count):
    table = experiments.Table(
        rows=(Row("run", "small", None, tuple(COURSE)),),
        columns=lambda outcome: {},
        shown={},
        measure=lambda models, dataset: {name: {"ms": 1.0} for name in models},
    )
    run(context)
    context = dataclasses.replace(context, folder=tmp_path / "runs")
    with children.started(lambda: hold(tmp_path / "runs")) as (worker, output):
        assert output.readline() == "holds\n"
        with pytest.raises(ValueError, match=f"is in use by process {worker} on"):
            experiments.measure(table, context)
    experiments.measure(table, context)
    assert (tmp_path / "runs" / "measured.json").exists()
    assert runs.LOCK not in os.listdir(tmp_path / "runs")
    count("two processes in a folder", 1)


def test_blocks_within_each_other_share_the_folder(context):
    with runs.hold_directory(context.folder):
        assert run(context).missing == []
        assert (context.folder / runs.LOCK).exists()
    assert not (context.folder / runs.LOCK).exists()


def test_a_folder_in_which_nothing_came_to_be_is_not_left(context):
    def fail():
        raise ValueError("impossible")

    with pytest.raises(ValueError, match="impossible"):
        run(context, fail)
    assert not context.folder.parent.exists()
