"""What stages that force, decompose, budget and prune do to a small network."""

import csv
import dataclasses

import keras
import numpy as np
import pytest

from keras_roots.profiling import profile
from keras_roots.training.data import datasets
from keras_roots.training.stages import experiment_cheaper
from keras_roots.training.stages.experiment_cheaper import (
    Budgeted,
    Forced,
    LowRank,
    Pruned,
)
from keras_roots.training.stages.experiment_rows import Bench
from keras_roots.training.stages.experiment_stages import Trained
from keras_roots.training.trainer.recipes import Recipe

RECIPE = Recipe(2, 8, 0.05)


@pytest.fixture
def bench():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 8, 8, 3)).astype("uint8")
    split = datasets.Arrays(images, np.arange(24) % 3)
    dataset = datasets.Dataset("noise", ("a", "b", "c"), split, split, split, 8)
    return Bench(dataset, say=lambda line: None, verbose=False)


@pytest.fixture
def model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 128, -1),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="first"),
            keras.layers.Conv2D(16, 1, activation="relu", name="wide"),
            keras.layers.Conv2D(8, 3, padding="same", name="spatial"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(16, 1, name="last"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def spread(model, name):
    """Mean distance between the directions of a layer's filters."""
    kernel = model.get_layer(name).kernel.numpy()
    filters = kernel.reshape(-1, kernel.shape[-1]).T
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    return np.linalg.norm(filters[:, None] - filters[None], axis=-1).mean()


def test_forces_draw_the_filters_of_the_chosen_layers(model, bench, tmp_path):
    names = ("first", "wide", "spatial", "last")
    before = {name: spread(model, name) for name in names}
    stage = Forced(recipe=RECIPE, strength=0.5, layers="pointwise")
    found, extra = stage.run(model, tmp_path, bench)
    assert found is model
    assert extra["epochs"] == RECIPE.epochs
    assert extra["seconds"] > 0
    nearer = {name for name in names if spread(model, name) < 0.9 * before[name]}
    assert nearer == {"wide", "last"}
    assert not any(getattr(each, "kernel_regularizer", 0) for each in model.layers)


def test_forces_last_as_long_as_other_training():
    stage = Forced(recipe=RECIPE, layers="pointwise")
    assert stage.lasting(0) is None
    recipe = dataclasses.replace(RECIPE, epochs=9)
    assert stage.lasting(9) == Forced(recipe=recipe, layers="pointwise")


def test_low_ranks_for_one_kind_of_layers(model, bench, tmp_path):
    # The filters of the last are sums of two: rank 2 loses nothing.
    layer = model.get_layer("last")
    kernel, bias = layer.get_weights()
    rng = np.random.default_rng(0)
    layer.set_weights(
        [kernel[..., :2] @ rng.normal(size=(2, 16)).astype("float32"), bias]
    )
    # 64 positions: 3 * 8 * 9, 8 * 16, 16 * 8 * 9, 8 * 16, then 16 * 3; one for biases.
    whole = 64 * (216 + 128 + 1152 + 128) + 48 + 8 + 16 + 8 + 16 + 3
    saved = 64 * (128 - 2 * (8 + 16)) - 2
    assert profile(model).macs == whole
    stage = LowRank(macs=1 - 0.95 * saved / whole, layers="pointwise", images=24)
    small, extra = stage.run(model, tmp_path, bench)
    assert extra["ranks"] == {"last": 2}
    assert extra["mean_rank_ratio"] == (1 + 2 / 16) / 2
    assert profile(small).macs <= stage.macs * whole
    images = bench.sample(model, 24)
    before, after = (
        keras.Model(each.inputs, each.layers[-3].output).predict(images, verbose=0)
        for each in (model, small)
    )
    assert before.shape == after.shape == (24, 8, 8, 16)
    moved = small.get_layer("norm").get_weights()[2]
    assert not np.allclose(moved, model.get_layer("norm").get_weights()[2])
    with open(tmp_path / "plan.csv", newline="") as file:
        rows = {row["name"]: row["decomposed"] for row in csv.DictReader(file)}
    assert rows == {
        "first": "False",
        "wide": "False",
        "spatial": "False",
        "last": "True",
    }


def test_low_ranks_for_all_layers(model, bench, tmp_path):
    _, extra = LowRank(macs=0.45, images=24).run(model, tmp_path, bench)
    filters = {"first": 8, "wide": 16, "spatial": 8, "last": 16}
    parts = [extra["ranks"].get(name, n) / n for name, n in filters.items()]
    assert "spatial" in extra["ranks"]
    assert extra["mean_rank_ratio"] == pytest.approx(np.mean(parts))


def test_low_ranks_out_of_reach(model, bench, tmp_path):
    with pytest.raises(ValueError, match="`macs` must be at least"):
        LowRank(macs=0.3, layers="pointwise", images=24).run(model, tmp_path, bench)


def test_groups_and_ranks_for_multiply_adds(model, bench, tmp_path):
    pytest.importorskip("scipy")
    whole = profile(model).macs
    small, extra = Budgeted(part=0.5, images=24).run(model, tmp_path, bench)
    assert profile(small).macs <= 0.5 * whole
    assert profile(small).macs / whole == pytest.approx(extra["predicted"], abs=0.01)
    changed = {**extra["layer_groups"], **extra["ranks"]}
    with open(tmp_path / "plan.csv", newline="") as file:
        rows = {row["name"]: row["way"] for row in csv.DictReader(file)}
    assert {name for name, way in rows.items() if way} == set(changed)
    assert "spatial" in changed


def test_budgets_of_latency_keep_their_times(model, bench, tmp_path, monkeypatch):
    asked = {}

    class Planner:
        def __init__(self, model, images, **arguments):
            asked.update(arguments, images=len(images))

        def plan(self, budget):
            raise ValueError(f"asked for {budget}")

    monkeypatch.setattr(experiment_cheaper, "Planner", Planner)
    stage = Budgeted(part=0.25, cost="latency", images=12)
    with pytest.raises(ValueError, match="asked for 0.25"):
        stage.run(model, tmp_path, bench)
    table = tmp_path / "latency.csv"
    assert asked == {"cost": "latency", "table": table, "seed": 0, "images": 12}


def test_zeros_stay_in_training(model, bench, tmp_path):
    sparse, extra = Pruned(sparsity=0.75).run(model, tmp_path, bench)
    assert extra == {"zeros": 0.75}
    kernels = [w for w in sparse.get_weights() if w.ndim > 1]
    path = tmp_path / "sparse.keras"
    sparse.save(path)
    loaded = keras.models.load_model(path)
    trained, _ = Trained(recipe=RECIPE).run(loaded, tmp_path, bench)
    after = [w for w in trained.get_weights() if w.ndim > 1]
    for old, new in zip(kernels, after, strict=True):
        np.testing.assert_array_equal(new == 0, old == 0)
        assert (new != old).any()
        assert np.mean(old == 0) == 0.75
