"""Stages that each take the model of the one before, resumably."""

import dataclasses
import json

import helpers
import numpy as np
import pytest
from small_stages import Biased

import keras_roots
from keras_roots.training import stages
from keras_roots.training.data import open_dataset
from keras_roots.training.stages.context import Context
from keras_roots.training.stages.stage import Keep, done_elsewhere
from keras_roots.training.stages.stage import run as run_stages
from keras_roots.training.trainer import Recipe


@pytest.fixture
def said():
    return []


@pytest.fixture
def context(said, tmp_path):
    dataset = helpers.noise(6, 4, 2)
    return Context(dataset, tmp_path / "run", say=said.append)


def run(context, *biases, only=None, make=helpers.scores, names=("first", "second")):
    chosen = [Biased(*pair) for pair in zip(names, biases, strict=False)]
    return run_stages(chosen, context, make, {"network": "small"}, only)


def biases(model):
    return model.layers[-1].get_weights()[1].tolist()


def test_each_stage_takes_the_model_of_the_one_before(context, said):
    outcome = run(context, 1.0, 2.0)
    assert biases(outcome.model("first")) == [1, 1]
    assert biases(outcome.model("second")) == [3, 3]
    assert (outcome.done, outcome.missing) == (["first", "second"], [])
    assert outcome.last() == outcome.result("second")
    assert outcome.result("second")["added"] == 2
    earlier = {"first": outcome.result("first")["top1"]}
    assert outcome.result("second")["earlier_top1"] == earlier
    assert [line for line in said if line.startswith("run")] == [
        "run first",
        "run second",
    ]


def test_what_a_result_holds(context, tmp_path):
    dataset = open_dataset(helpers.colours(tmp_path / "a.npz"), holdout=8)
    model = keras_roots.RootNiN(root=8, input_shape=(8, 8, 3), classes=3)
    context = dataclasses.replace(context, dataset=dataset)
    outcome = run_stages([Keep()], context, lambda: model, {})
    result = outcome.result("whole")
    profile = keras_roots.profile(model)
    assert (result["macs"], result["params"]) == (profile.macs, profile.params)
    assert (result["images"], result["validation_images"]) == (12, 8)
    scores = model.predict(dataset.test.images.astype("float32"), verbose=0)
    assert result["top1"] == np.mean(scores.argmax(-1) == dataset.test.labels)
    assert result["hardware"] and result["versions"] and result["date"]
    config = json.loads((context.folder / "whole" / "config.json").read_text())
    assert (config["holdout"], config["seed"]) == (8, 0)


def test_what_is_done_is_not_run_again(context, said):
    run(context, 1.0)
    said.clear()

    def fail():
        raise AssertionError("the first is done")

    outcome = run(context, 1.0, 5.0, make=fail)
    assert said[0].startswith("first: done already, ")
    assert said[1] == "second: starts"
    assert biases(outcome.model("second")) == [6, 6]


def test_what_killed_processes_left_is_removed_also_of_stages_that_are_done(context):
    run(context, 1.0)
    inner = context.folder / "first" / "segment0"
    for folder in (context.folder, context.folder / "first", inner):
        (folder / ".keras_roots-12345678").mkdir(parents=True)
    run(context, 1.0)
    assert not [*context.folder.rglob(".keras_roots-*")]


def test_other_settings_of_a_stage_are_refused_by_name(context):
    run(context, 1.0, 2.0)
    with pytest.raises(
        ValueError, match=r"another configuration.*first.bias \(there 1.0, here 4"
    ):
        run(context, 4.0, 2.0)
    with pytest.raises(ValueError, match=r"stages.second.bias"):
        run(context, 1.0, 3.0)
    # Those of a later stage do not matter to an earlier one.
    run(context, 1.0, 3.0, only=["first"])
    with pytest.raises(ValueError, match=r"another.*configuration.*seed"):
        run(dataclasses.replace(context, seed=5), 1.0, 2.0)


def test_some_stages_alone(context):
    with pytest.raises(ValueError, match="'second' needs the model of stage 'first'"):
        run(context, 1.0, 2.0, only=["second"])
    with pytest.raises(ValueError, match=r"`only` must be of.*Received: \['third'\]"):
        run(context, 1.0, 2.0, only=["third"])
    outcome = run(context, 1.0, 2.0, only=["first"])
    assert outcome.missing == ["second"]
    assert run(context, 1.0, 2.0, only=["second"]).missing == []


def test_settings_are_checked_before_hours_of_training(context):
    with pytest.raises(ValueError, match="too much"):
        run(context, 1.0, 200.0)
    assert not context.folder.exists()


def test_a_stage_that_is_impossible_leaves_its_folder_free(context):
    with pytest.raises(ValueError, match="negative"):
        run(context, 1.0, -1.0)
    assert not list((context.folder / "second").iterdir())
    assert biases(run(context, 1.0, 3.0).model("second")) == [4, 4]


def test_the_last_stage_may_have_the_folder_of_the_run(context):
    own = {"names": ("first", "")}
    with pytest.raises(ValueError, match="negative"):
        run(context, -1.0, 2.0, **own)
    outcome = run(context, 1.0, 2.0, **own)
    assert biases(outcome.model("")) == [3, 3]
    assert (context.folder / "model.keras").exists()
    assert run(context, 1.0, 2.0, **own).missing == []
    with pytest.raises(ValueError, match="another configuration.*first.bias"):
        run(context, 4.0, 2.0, **own)
    with pytest.raises(ValueError, match="another configuration"):
        run(context, 1.0, 5.0, **own)


def test_another_folder_is_left_alone(context):
    context.folder.mkdir()
    (context.folder / "first").mkdir()
    (context.folder / "first" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="not empty and holds no run"):
        run(context, 1.0)


def test_a_folder_of_other_things_is_left_alone(context):
    context.folder.mkdir()
    (context.folder / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="not empty and holds no run"):
        run(context, 1.0)
    assert [path.name for path in context.folder.iterdir()] == ["letter.txt"]


def test_the_seed_decides_the_start(context, tmp_path):
    kernels = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        own = dataclasses.replace(context, folder=tmp_path / name, seed=seed)
        kernels.append(run(own, 1.0).model("first").get_weights()[0])
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).max() > 0


def shared(context, tmp_path, table, row):
    return dataclasses.replace(
        context, folder=tmp_path / "runs" / table / row, shared=tmp_path / "runs"
    )


def test_runs_share_what_they_have_in_common(context, tmp_path, said):
    first = run(shared(context, tmp_path, "table", "a"), 1.0, 2.0)
    said.clear()
    outcome = run(shared(context, tmp_path, "other", "b"), 1.0, 7.0)
    assert said[0] == "first: done already, for a"
    assert "run first" not in said
    assert biases(outcome.model("second")) == [8, 8]
    assert outcome.result("first") == first.result("first")
    copied, own = outcome.folder / "first", first.folder / "first"
    assert {p.name for p in copied.iterdir()} == {p.name for p in own.iterdir()}


@dataclasses.dataclass(frozen=True)
class Twice(Biased):
    """Has the settings of `Biased`, and does something else."""

    def run(self, model, folder, context):
        return super().run(super().run(model, folder, context)[0], folder, context)


@pytest.mark.parametrize(
    "stage, config",
    [
        (Biased("first", 1.0), {"network": "other"}),
        (Biased("first", 2.0), {"network": "small"}),
        (Twice("first", 1.0), {"network": "small"}),
    ],
    ids=["start", "settings", "kind"],
)
def test_runs_share_nothing_else(stage, config, context, tmp_path, said):
    run(shared(context, tmp_path, "table", "a"), 1.0)
    said.clear()
    run_stages([stage], shared(context, tmp_path, "table", "b"), helpers.scores, config)
    assert said[0] == "first: starts"


def test_nothing_is_shared_with_a_damaged_run(context, tmp_path, said):
    run(shared(context, tmp_path, "table", "a"), 1.0)
    damaged = tmp_path / "runs" / "table" / "a" / "first" / "config.json"
    damaged.write_text('{"row"')
    said.clear()
    run(shared(context, tmp_path, "table", "b"), 1.0)
    assert said[0] == "first: starts"


def test_a_stage_that_leaves_the_network_as_it_is(context, tmp_path):
    model = helpers.scores()
    assert stages.Keep().run(model, tmp_path, context) == (model, {})
    assert stages.Keep().with_epochs(0) == stages.Keep()


def test_patience_without_images_held_out_is_refused_before_any_stage(context):
    recipe = Recipe(epochs=2, batch_size=2, learning_rate=0.1, patience=1)
    with pytest.raises(ValueError, match="`patience` needs images that are held out"):
        run_stages([Keep(), stages.Train(recipe=recipe)], context, helpers.scores, {})
    assert not context.folder.exists()


def test_rows_done_before_a_setting_existed_are_shared(context, tmp_path):
    folder = tmp_path / "tables" / "table" / "row" / "first"
    folder.mkdir(parents=True)
    stage = {"kind": "Train", "recipe": {"epochs": 1}}
    (folder / "config.json").write_text(json.dumps({"seed": 0, "stages": stage}))
    (folder / "result.json").write_text("{}")
    for more, found in (({}, folder), ({"patience": None}, folder), ({"ema": 1}, None)):
        now = {"seed": 0, "stages": stage | {"recipe": {"epochs": 1, **more}}}
        assert done_elsewhere("first", now, tmp_path / "tables") == found
