"""Rows of experiments, run stage by stage."""

import dataclasses

import helpers
import numpy as np
import pytest
from small_stages import Biased

from keras_roots.training import networks
from keras_roots.training.experiments import rows
from keras_roots.training.experiments.rows import Row, error_of, rounded, run_row
from keras_roots.training.stages import Context
from keras_roots.training.trainer import Recipe


@pytest.fixture
def said():
    return []


@pytest.fixture
def context(said, tmp_path):
    return Context(helpers.noise(6, 4, 2), tmp_path, say=said.append)


@pytest.fixture(autouse=True)
def start(monkeypatch):
    """Small networks in place of the zoo's; returns what they were asked by."""
    asked = []

    def start(zoo, dataset):
        asked.append(zoo)
        return helpers.scores()

    monkeypatch.setattr(networks.Zoo, "start", start)
    return asked


def row(name="a", first=1.0, second=2.0):
    stages = (
        Biased("first", first),
        Biased("second", second, long=True),
    )
    return Row(name, "root_nin:8:tree", "cifar10", stages, {"label": name.upper()})


def biases(outcome, stage):
    return outcome.model(stage).layers[-1].get_weights()[1].tolist()


def test_a_row_starts_from_its_network(context, start, tmp_path, said):
    run_row(row(), context)
    arguments = {"model": "root_nin", "root": 8, "topology": "tree"}
    assert start == [networks.Zoo(**arguments, weights="cifar10")]
    outcome = row().outcome(tmp_path)
    assert outcome.folder == tmp_path / "a"
    assert biases(outcome, "second") == [3, 3]
    assert said[0] == "a, first: starts"


def test_epochs_in_place_of_its_own(context, tmp_path, said):
    run_row(row(), context, epochs=0)
    assert row().outcome(tmp_path).missing == ["second"]
    said.clear()
    run_row(row(), context, epochs=5)
    assert said[0].startswith("a, first: done already")
    assert biases(row().outcome(tmp_path), "second") == [6, 6]
    with pytest.raises(ValueError, match=r"another configuration.*second"):
        run_row(row(), context)


@pytest.mark.parametrize("changes", [{"weights": None}, {"network": "root_nin:4"}])
def test_rows_of_another_start_share_nothing(changes, context, tmp_path, said):
    folders = {name: tmp_path / "runs" / name for name in ("table", "other")}
    for name, own in (("table", row("a")), ("other", row("b"))):
        own = dataclasses.replace(own, **(changes if name == "other" else {}))
        where = dataclasses.replace(
            context, folder=folders[name], shared=tmp_path / "runs"
        )
        said.clear()
        run_row(own, where)
    assert said[0] == "b, first: starts"
    assert not [line for line in said if "for a" in line]


def test_a_row_without_a_stage_that_runs(context, tmp_path):
    short = dataclasses.replace(row(), stages=row().stages[1:])
    run_row(short, context, epochs=0)
    assert not (tmp_path / "a").exists()


@dataclasses.dataclass(frozen=True)
class Refusing(Biased):
    """A stage that raises what it is given."""

    words: str = ""

    def run(self, model, folder, context):
        raise ValueError(self.words)


def test_a_budget_that_cannot_be_met_ends_its_row(context, tmp_path, said):
    words = "`budget` cannot be met: 0.3 at least. Received: budget=0.2"
    first, second = row().stages
    stages = (first, Refusing("cheaper", words=words), second)
    refused = dataclasses.replace(row(), stages=stages)
    run_row(refused, context)
    assert said[-1] == f"a, {words}"
    assert rows.refusal(tmp_path / "a") == words
    assert refused.outcome(tmp_path).done == ["first"]
    said.clear()
    run_row(refused, context)
    assert not said  # it is not tried again
    assert rows.refusal(tmp_path / "b") is None
    other = dataclasses.replace(
        refused, name="b", stages=(first, Refusing("cheaper", words="`layers` must"))
    )
    with pytest.raises(ValueError, match="`layers` must"):
        run_row(other, context)
    assert rows.refusal(tmp_path / "b") is None


def test_a_row_starts_from_a_file(context, start, tmp_path):
    network = helpers.scores()
    network.layers[-1].set_weights([network.get_weights()[0], np.array([4.0, 5.0])])
    network.save(tmp_path / "own.keras")
    path = str(tmp_path / "own.keras")
    own = dataclasses.replace(row(), network=path, weights=None)
    run_row(own, context)
    assert not start
    assert biases(own.outcome(tmp_path), "second") == [7, 8]


def test_errors_as_columns_hold_them():
    assert error_of({"top1": 0.87654}) == 0.1235
    assert error_of({}) is None
    assert rounded(None) is None


def test_recipes_of_trained_and_of_random_weights():
    falling = rows.falling("root_resnet20", 7)
    assert dataclasses.asdict(falling) == dataclasses.asdict(
        Recipe(
            7,
            128,
            0.1 / 5,
            warmup=0.0,
            weight_decay=1e-4,
            augmentation="pad_crop_mirror",
            precision="mixed_bfloat16",
        )
    )
    other = rows.falling("mine", 7, "imagenette/160px-v2")
    assert (other.learning_rate, other.augmentation) == (0.05 / 5, "crop_mirror")
    rising = rows.rising("root_resnet20", 7)
    assert rising == dataclasses.replace(falling, learning_rate=0.1, warmup=0.25)
