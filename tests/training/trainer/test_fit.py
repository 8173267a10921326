"""Training of a given model by a recipe, resumably."""

import csv
import dataclasses
import importlib.util

import helpers
import keras
import numpy as np
import pytest

from keras_roots.training.data import open_dataset
from keras_roots.training.trainer import callbacks, checkpoints
from keras_roots.training.trainer.fit import (
    _board,
    check_layout,
    fit,
    seconds,
    set_seed,
)
from keras_roots.training.trainer.recipes import Recipe

RECIPE = Recipe(3, 8, 0.02, augmentation="pad_crop_mirror")


@pytest.fixture
def dataset(tmp_path):
    return open_dataset(helpers.colours(tmp_path / "colours.npz"))


def network():
    keras.utils.set_random_seed(3)
    return helpers.convolutions()


def run(dataset, folder, recipe=RECIPE, **options):
    folder.mkdir(exist_ok=True)
    model = network()
    trained = fit(model, dataset, recipe, folder, verbose=False, **options)
    return model, trained


def test_the_model_gets_the_trained_weights(dataset, tmp_path):
    model, trained = run(dataset, tmp_path / "run")
    assert int(trained.optimizer.iterations) == 3 * (40 // 8)
    for name in ("first", "spatial"):
        found, expected = (m.get_layer(name).get_weights() for m in (model, trained))
        for one, two in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, two)
    assert not np.allclose(model.get_weights()[0], network().get_weights()[0])
    assert seconds(tmp_path / "run") > 0


def test_a_run_goes_on_where_it_stopped(dataset, tmp_path):
    whole, _ = run(dataset, tmp_path / "whole")
    run(dataset, tmp_path / "parts", until=1)
    parts, _ = run(dataset, tmp_path / "parts")
    for one, two in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    with open(tmp_path / "parts" / "log.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]


def test_a_state_from_elsewhere(dataset, tmp_path):
    run(dataset, tmp_path / "first", until=2)
    state = tmp_path / "first" / "last.weights.h5"
    _, trained = run(dataset, tmp_path / "second", state=state)
    assert int(trained.optimizer.iterations) == 15
    with open(tmp_path / "second" / "log.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["3"]


def test_what_is_trained_may_have_more_than_the_model(dataset, tmp_path):
    seen = []

    def adapt(trainee):
        seen.append(trainee.output_shape)
        return trainee

    run(dataset, tmp_path / "run", dataclasses.replace(RECIPE, epochs=1), adapt=adapt)
    assert seen == [(None, 3)]


def test_batches_larger_than_the_data_set(dataset, tmp_path):
    recipe = dataclasses.replace(RECIPE, batch_size=41)
    with pytest.raises(ValueError, match="at most.*40"):
        run(dataset, tmp_path / "run", recipe)


def test_images_have_their_channels_last():
    check_layout()
    keras.config.set_image_data_format("channels_first")
    with pytest.raises(ValueError, match="channels last.*channels_first"):
        check_layout()


def test_seeds_decide_random_numbers():
    values = []
    for seed in (1, 1, 2):
        set_seed(seed)
        values.append(float(keras.random.normal(())))
    assert values[0] == values[1] != values[2]


@keras.saving.register_keras_serializable(package="tests")
class Sizes(keras.layers.Layer):
    """Notes the sizes of images that it is traced for, and whether in training."""

    seen: list = []

    def call(self, x, training=False):
        if x.shape[1] is not None:
            self.seen.append((x.shape[1], bool(training)))
        return x


def of_any_size():
    keras.utils.set_random_seed(3)
    model = helpers.convolutions()
    return keras.Sequential([keras.Input((8, 8, 3)), Sizes(), *model.layers])


PROGRESSIVE = dataclasses.replace(
    RECIPE, epochs=5, flip="alternating", initial_size=6, ema=0.9
)


def test_images_are_smaller_at_first_and_the_network_is_as_it_was(dataset, tmp_path):
    model = of_any_size()

    def sizes(**options):
        def adapt(trainee):
            Sizes.seen.clear()
            return trainee

        fit(
            model, dataset, PROGRESSIVE, tmp_path, adapt=adapt, verbose=False, **options
        )
        return {*Sizes.seen}

    assert sizes(until=3) == {(6, True), (8, False)}
    assert sizes() == {(8, True), (8, False)}
    assert model.input_shape == (None, 8, 8, 3)


def test_smaller_images_train_otherwise(dataset, tmp_path):
    small, _ = run(dataset, tmp_path / "small", PROGRESSIVE, until=1)
    plain = dataclasses.replace(PROGRESSIVE, initial_size=None)
    large, _ = run(dataset, tmp_path / "large", plain, until=1)
    assert not np.allclose(small.get_weights()[0], large.get_weights()[0], atol=1e-4)


def test_a_network_of_one_size_is_refused_before_anything_is_written(dataset, tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="`initial_size` needs a network.*Received"):
        fit(model, dataset, PROGRESSIVE, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["colours.npz"]


class Killed(Exception):
    """What stops a run in a test."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nothing stops, and the weights that it leaves."""
    folder = tmp_path_factory.mktemp("whole")
    dataset = open_dataset(helpers.colours(folder / "colours.npz"))
    model, _ = run(dataset, folder / "run", PROGRESSIVE, save_every=1)
    return folder / "run", model.get_weights()


@pytest.mark.parametrize("killed", [1, 2, 3, 4])
def test_what_is_lost_is_done_again(dataset, whole, tmp_path, monkeypatch, killed):
    """Parts end after 3 and 5 epochs, and every second epoch is saved."""
    epochs = []

    def begin(self, epoch, logs=None):
        epochs.append(epoch)
        if len(epochs) == killed + 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Reseed, "on_epoch_begin", begin)
        with pytest.raises(Killed):
            run(dataset, tmp_path / "parts", PROGRESSIVE, save_every=2)
        epochs.clear()
        patch.setattr(
            callbacks.Reseed,
            "on_epoch_begin",
            lambda self, epoch, _: epochs.append(epoch),
        )
        parts, _ = run(dataset, tmp_path / "parts", PROGRESSIVE, save_every=2)
    saved = max(epoch for epoch in (0, 2, 3, 4) if epoch <= killed)
    assert epochs == list(range(saved, 5))
    for one, two in zip(whole[1], parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    best = []
    for folder in (whole[0], tmp_path / "parts"):
        model = network()
        model.load_weights(folder / "best.weights.h5")
        best.append(model.get_weights())
    for one, two in zip(*best, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", True])
def test_impossible_intervals(dataset, tmp_path, every):
    with pytest.raises(ValueError, match="`save_every` must be an integer, 1 or more"):
        run(dataset, tmp_path / "run", save_every=every)


@pytest.mark.parametrize("package", ["tensorboard", "tensorflow"])
def test_tensorboard_needs_tensorflow_too(package, monkeypatch):
    there = {"tensorboard", "tensorflow"} - {package}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in there)
    assert _board("folder") == []


def test_patience_ends_the_training_and_gives_the_best_epoch(tmp_path):
    held = open_dataset(helpers.colours(tmp_path / "colours.npz"), holdout=8)
    # So high a rate that the network is at chance from some epoch on.
    recipe = dataclasses.replace(RECIPE, epochs=12, learning_rate=0.3, patience=2)
    model, _ = run(held, tmp_path / "run", recipe)
    rows = checkpoints.read_log(tmp_path / "run")
    accuracy = [float(row["val_accuracy"]) for row in rows]
    best = int(np.argmax(accuracy))
    assert len(rows) == best + 3 < 12
    images, labels = next(held.evaluation.batches(8, 8))
    found = np.argmax(model.predict(images, verbose=0), -1)
    assert np.mean(found == labels) == pytest.approx(accuracy[best])
    again, _ = run(held, tmp_path / "run", recipe)
    assert len(checkpoints.read_log(tmp_path / "run")) == len(rows)
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_patience_needs_images_held_out(dataset, tmp_path):
    with pytest.raises(ValueError, match="`patience` needs .*`holdout`"):
        run(dataset, tmp_path / "run", dataclasses.replace(RECIPE, patience=1))
