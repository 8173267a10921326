"""Stages that give a network filter groups."""

import csv

import keras
import numpy as np
import pytest

from keras_roots.training.stages.group import Fresh, Group, Groups
from keras_roots.training.stages.stage import run


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


def test_one_schedule_for_all_layers(model, context, tmp_path):
    settings = Groups(groups=4, carry_over="slice", recalibration_images=12)
    small, extra = Group(settings=settings).run(model, tmp_path, context)
    assert extra == {"layer_groups": {"second": 4, "third": 4}}
    np.testing.assert_array_equal(
        small.get_layer("second").kernel[:, :, :, 2:4],
        model.get_layer("second").kernel[:, :, 2:4, 2:4],
    )
    before, after = (m.get_layer("norm").moving_variance for m in (model, small))
    assert not np.allclose(before, after)
    with open(tmp_path / "plan.csv", newline="") as file:
        assert [line["groups"] for line in csv.DictReader(file)] == ["4", "4"]


def test_some_layers_without_recalibration(model, context, tmp_path):
    settings = Groups(
        groups=2, layers="sec.*", carry_over="slice", recalibration_images=0
    )
    small, extra = Group(settings=settings).run(model, tmp_path, context)
    assert extra == {"layer_groups": {"second": 2, "third": 1}}
    for before, after in zip(
        model.get_layer("norm").get_weights(),
        small.get_layer("norm").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(before, after)


def test_responses_are_kept_better_than_slices(model, context, tmp_path):
    images = context.sample(model, 24)
    expected = model.predict(images, verbose=0)
    errors = {}
    for how in ("slice", "responses"):
        settings = Groups(groups=4, carry_over=how, recalibration_images=24)
        small, _ = Group(settings=settings).run(model, tmp_path, context)
        errors[how] = np.mean((small.predict(images, verbose=0) - expected) ** 2)
    assert errors["responses"] < errors["slice"]


def test_a_network_with_new_weights(model, context, tmp_path):
    settings = Groups(groups=4, mix=True, carry_over="none", recalibration_images=12)
    small, _ = Fresh(settings=settings).run(model, tmp_path, context)
    first, second, mix = (
        small.get_layer(name).kernel.numpy()
        for name in (model.layers[1].name, "second", "second_mix")
    )
    assert second.shape == (3, 3, 2, 8)
    assert not np.isin(first, model.layers[1].kernel).any()
    assert (mix != np.eye(8)).all()
    assert not np.any(small.get_layer("norm").moving_mean)


def test_impossible_groups_leave_the_folder_free(model, context):
    for groups in (0, True, (4, 0)):
        with pytest.raises(ValueError, match="`groups` must be a positive integer"):
            Groups(groups=groups)
    with pytest.raises(ValueError, match="`root`"):
        settings = Groups(groups=(4, 4, 4, 4, 4))
        run([Group(settings=settings)], context, lambda: model, {})
    assert not list((context.folder / "grouped").iterdir())
    with pytest.raises(ValueError, match="regular expression"):
        run([Group(settings=Groups(layers="("))], context, lambda: model, {})
