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


def _affine(layer, shape=(8, 8, 3)):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layers.Conv2D(4, 3)(layer(inputs)))
    rng = np.random.default_rng(0)
    if isinstance(layer, layers.Normalization):
        layer.adapt(rng.normal(1, 2, (50, *shape)) * np.linspace(1, 3, 8)[:, None])
    return model, rng.normal(size=(2, *shape))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Normalization(axis=1), (8, 8, 3)),
        (layers.Normalization(axis=2), (8, 8, 8)),
        (layers.Normalization(axis=(2, 3)), (8, 8, 3)),
        (layers.Normalization(axis=(1, 2, 3)), (8, 8, 1)),
        (layers.Normalization(axis=None), (8, 8, 3)),
        (layers.Normalization(invert=True), (8, 8, 3)),
        (layers.Rescaling(np.arange(1.0, 9).reshape(8, 1, 1).tolist()), (8, 8, 8)),
        (layers.Rescaling(np.arange(1.0, 9).reshape(8, 1).tolist()), (8, 8, 8)),
        (layers.Rescaling(0.5, np.arange(8.0).reshape(8, 1).tolist()), (8, 8, 8)),
        (layers.Rescaling(np.arange(1.0, 193).reshape(8, 8, 3).tolist()), (8, 8, 3)),
        (layers.BatchNormalization(axis=1), (8, 8, 8)),
    ],
)
def test_what_is_not_by_channel_stays(layer, shape):
    model, images = _affine(layer, shape)
    rewritten, changes = merge_normalization(model)
    assert changes == {}
    assert_same_outputs(model, rewritten, images)


def test_a_scale_that_makes_three_channels_of_one_stays():
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Rescaling([1.0, 2.0, 3.0])(inputs))
    assert merge_normalization(model)[1] == {}


def test_pixels_that_are_integers_stay():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(inputs, layers.Rescaling([0.1, 0.2, 0.3])(inputs))
    rewritten, changes = merge_normalization(model)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    assert changes == {}
    assert_same_outputs(model, rewritten, images)


def test_images_with_channels_first_stay():
    keras.config.set_image_data_format("channels_first")
    inputs = keras.Input((3, 8, 8))
    model = keras.Model(inputs, layers.Rescaling([1.0, 2.0, 3.0])(inputs))
    assert merge_normalization(model)[1] == {}


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
