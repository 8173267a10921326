"""Training of a given model by a recipe, resumably."""

import csv
import dataclasses

import helpers
import keras
import numpy as np
import pytest

from keras_roots.training.data import open_dataset
from keras_roots.training.trainer.fit import check_layout, fit, seconds, set_seed
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
