"""What stages of experiments do to a small network."""

import csv
import dataclasses
import types

import keras
import numpy as np
import pytest

from keras_roots.benchmarking.latency_table import LatencyTable
from keras_roots.groups.plan import plan_rootify
from keras_roots.training.data import datasets
from keras_roots.training.stages import experiment_costs, experiment_stages
from keras_roots.training.stages.experiment_rows import Bench
from keras_roots.training.stages.experiment_stages import Fresh, Grouped, Trained, Whole
from keras_roots.training.trainer.recipes import Recipe

pytest.importorskip("scipy")


@pytest.fixture
def bench():
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    images = rng.integers(0, 256, (24, 8, 8, 3)).astype("uint8")
    split = datasets.Arrays(images, labels)
    dataset = datasets.Dataset("noise", ("a", "b", "c"), split, split, split, 8)
    return Bench(dataset, say=lambda line: None, verbose=False)


@pytest.fixture
def model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 128, -1),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(8, 3, padding="same", name="second"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(16, 3, padding="same", name="third"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


_SECOND, _THIRD = 64 * 72 * 8, 64 * 72 * 16
# Biases are counted once.
_DENSE = 64 * 27 * 8 + _SECOND + _THIRD + 16 * 3 + 8 + 8 + 16 + 3


def test_the_whole_network_stays(model, bench, tmp_path):
    found, extra = Whole().run(model, tmp_path, bench)
    assert found is model
    assert extra == {}


def test_one_schedule_for_all_layers(model, bench, tmp_path):
    stage = Grouped(groups=4, carry_over="slice", images=12)
    small, extra = stage.run(model, tmp_path, bench)
    assert extra == {"layer_groups": {"second": 4, "third": 4}}
    np.testing.assert_array_equal(
        small.get_layer("second").kernel[:, :, :, 2:4],
        model.get_layer("second").kernel[:, :, 2:4, 2:4],
    )
    before, after = (m.get_layer("norm").moving_variance for m in (model, small))
    assert not np.allclose(before, after)
    with open(tmp_path / "plan.csv", newline="") as file:
        assert [line["groups"] for line in csv.DictReader(file)] == ["4", "4"]


@pytest.mark.parametrize("judged", ["responses", "energy"])
def test_groups_for_the_multiply_adds_of_a_schedule(model, bench, tmp_path, judged):
    # The third loses nothing with 8 groups, the second a lot with any.
    layer = model.get_layer("third")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * np.tile(np.eye(8), 2), bias])
    stage = Grouped(groups=2, images=12, budget="macs", judged=judged)
    _, extra = stage.run(model, tmp_path, bench)
    assert extra["layer_groups"] == {"second": 1, "third": 8}
    saved = (_SECOND + _THIRD) / 2
    assert extra["budget"] == pytest.approx(1 - saved / _DENSE)
    assert extra["predicted"] == pytest.approx(1 - _THIRD * 7 / 8 / _DENSE)


def test_a_network_with_new_weights(model, bench, tmp_path):
    stage = Fresh(groups=4, mix=True, images=12)
    small, _ = stage.run(model, tmp_path, bench)
    first, second, mix = (
        small.get_layer(name).kernel.numpy()
        for name in (model.layers[1].name, "second", "second_mix")
    )
    assert second.shape == (3, 3, 2, 8)
    assert not np.isin(first, model.layers[1].kernel).any()
    assert (mix != np.eye(8)).all()
    assert not np.any(small.get_layer("norm").moving_mean)


def test_training(model, bench, tmp_path):
    stage = Trained(recipe=Recipe(5, 8, 0.1))
    assert stage.lasting(0) is None
    before = model.get_weights()
    small, extra = stage.lasting(1).run(model, tmp_path, bench)
    assert extra["epochs"] == 1
    assert not np.allclose(small.get_weights()[0], before[0])
    with open(tmp_path / "log.csv", newline="") as file:
        assert [line["epoch"] for line in csv.DictReader(file)] == ["1"]


def test_recipes_of_trained_and_of_random_weights():
    falling = experiment_stages.falling("root_resnet20", 7)
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
    rising = experiment_stages.rising("root_resnet20", 7)
    changed = dataclasses.replace(falling, learning_rate=0.1, warmup=0.25)
    assert rising == changed


def test_latency_is_what_the_convolutions_save(model, monkeypatch, tmp_path):
    def measure(chains, dtype, threads, runs):
        # 1 ms without groups; 2 groups are slow, 4 fast; a 1x1 takes .125 ms.
        times = {1: 1.0, 2: 1.5, 4: 0.25}
        return [times[c[0].groups] + 0.125 * (len(c) - 1) for c in chains]

    monkeypatch.setattr(
        experiment_costs,
        "LatencyTable",
        lambda path: LatencyTable(path, measure=measure),
    )
    monkeypatch.setattr(
        experiment_costs.benchmarking,
        "compare",
        lambda cases: [types.SimpleNamespace(p10_ms=4.0)],
    )
    part = experiment_costs.latency_part(model, tmp_path / "times.csv")
    # Both are 4 at a quarter; two groups would be merged; the one 1x1 is between them.
    assert part(plan_rootify(model, 4)) == pytest.approx(1 - 1.5 / 4)
    assert part(plan_rootify(model, 2)) == pytest.approx(1)
    mixed = plan_rootify(model, 4, mix=True)
    assert [row.mix for row in mixed.layers] == [True, False]
    assert part(mixed) == pytest.approx(1 - (0.625 + 0.75) / 4)
    assert (tmp_path / "times.csv").exists()
