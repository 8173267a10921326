"""Stages that make a network sparse."""

import helpers
import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.training.stages.sparsify import Prune, Sparsification, Sparsify
from keras_roots.training.stages.train import Train
from keras_roots.training.trainer import Recipe

RECIPE = Recipe(2, 8, 0.05)


def test_zeros_stay_in_training(context, tmp_path):
    model = helpers.convolutions()
    sparse, extra = Prune(sparsity=0.75).run(model, tmp_path, context)
    assert extra == {"zeros": 0.75}
    kernels = [w for w in sparse.get_weights() if w.ndim > 1]
    path = tmp_path / "sparse.keras"
    sparse.save(path)
    loaded = keras.models.load_model(path)
    trained, _ = Train(recipe=RECIPE).run(loaded, tmp_path, context)
    after = [w for w in trained.get_weights() if w.ndim > 1]
    for old, new in zip(kernels, after, strict=True):
        np.testing.assert_array_equal(new == 0, old == 0)
        assert (new != old).any()
        assert np.mean(old == 0) == 0.75


def test_weights_are_pruned_before_the_training(context, tmp_path):
    stage = Sparsify(recipe=RECIPE, settings=Sparsification(sparsity=0.5))
    model, extra = stage.run(helpers.convolutions(), tmp_path, context)
    assert extra["zeros"] == 0.5
    assert extra["epochs"] == 2
    kernel = model.get_layer("spatial").kernel.numpy()
    assert np.mean(kernel == 0) == 0.5


def test_filters_that_a_lasso_kills_are_removed(context, tmp_path):
    whole = helpers.convolutions()
    macs = keras_roots.profile(whole).macs
    settings = Sparsification(group_lasso=0.5, threshold=0.5)
    stage = Sparsify(recipe=RECIPE, settings=settings)
    model, extra = stage.run(whole, tmp_path, context)
    assert keras_roots.profile(model).macs < macs
    assert (tmp_path / "group_lasso" / "log.csv").exists()
    assert extra["seconds"] > 0


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"sparsity": 1.0}, "`sparsity` must be"),
        ({"threshold": 1.5}, "`threshold` must be"),
        ({"group_lasso": -1.0}, "`group_lasso` must be at least 0"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Sparsification(**settings)
