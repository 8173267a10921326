"""Scaling by channel as one operation."""

import keras
import numpy as np
import pytest
from helpers import assert_same_outputs, assign_random
from keras import layers

from keras_roots.export.rewrites.normalization import merge_normalization


@pytest.mark.parametrize(
    "layer",
    [
        layers.Rescaling([1.0, 2.0, 3.0], [0.5, -1.0, 2.0]),
        layers.Rescaling(0.5, [0.5, -1.0, 2.0]),
        layers.Rescaling([[[1.0, 2.0, 3.0]]]),
        layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0]),
    ],
)
def test_pixels_are_normalised_in_one_operation(layer, images):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 3)(layer(inputs)))
    rewritten, changes = merge_normalization(model)
    assert list(changes) == [layer.name]
    assert not any(type(found) is type(layer) for found in rewritten.layers)
    assert_same_outputs(model, rewritten, images(2))


def test_batch_norm_that_no_convolution_absorbs():
    inputs = keras.Input((4, 4, 32))
    x = layers.BatchNormalization(name="first", center=False)(inputs)
    x = layers.Conv2D(32, 1)(layers.ReLU()(x))
    x = layers.BatchNormalization(name="after")(x)
    x = layers.BatchNormalization(name="twice")(x + inputs)
    x = layers.Conv2D(32, 1, activation="relu")(x)
    x = layers.BatchNormalization(name="activated")(x)
    model = assign_random(keras.Model(inputs, x))
    rewritten, changes = merge_normalization(model)
    assert set(changes) == {"twice", "activated"}
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 32))
    assert_same_outputs(model, rewritten, images)


def test_two_numbers_stay():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(0.5, -1)])
    assert merge_normalization(model)[1] == {}
