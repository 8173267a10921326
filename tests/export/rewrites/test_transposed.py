"""Transposed convolutions as 1x1 convolutions."""

import keras
import numpy as np
import pytest
from helpers import assert_same_outputs, assign_random
from keras import layers

from keras_roots.export import LiteRTModel, export_tflite, read_operations
from keras_roots.export.rewrites.transposed import convolve_transposed
from keras_roots.graph import operations


def _network(**settings):
    inputs = keras.Input((5, 4, 6))
    x = layers.Conv2DTranspose(4, 2, activation="relu", name="up", **settings)(inputs)
    x = layers.SeparableConv2D(4, 3, name="apart")(x)
    return assign_random(keras.Model(inputs, layers.Conv2D(2, 1)(x)))


def _images(count=20):
    return np.random.default_rng(0).normal(size=(count, 5, 4, 6)).astype("float32")


def test_transposed_convolutions_are_1x1s():
    model = _network(strides=2)
    rewritten, changes = convolve_transposed(model)
    assert changes == {"up": "a 1x1 and moves"}
    kinds = {type(layer) for _, layer in operations(rewritten)}
    assert layers.Conv2DTranspose not in kinds
    assert layers.SeparableConv2D in kinds
    assert_same_outputs(model, rewritten, _images())


def test_overlapping_kernels_stay():
    model = _network(strides=1)
    rewritten, changes = convolve_transposed(model)
    assert rewritten is model and changes == {}


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_files_have_no_transposed_convolution(quantize, tmp_path):
    model, images = _network(strides=2), _images()
    path = tmp_path / "net.tflite"
    export_tflite(
        model,
        path,
        quantize=quantize,
        calibration_data=images if quantize else None,
        optimize="latency",
    )
    assert "TRANSPOSE_CONV" not in {each.name for each in read_operations(path)}
    (found,) = LiteRTModel(path).predict(images)
    expected = np.asarray(model(images))
    error = np.square(found - expected).sum() / np.square(expected).sum()
    assert error < (1e-10 if quantize is None else 1e-2)
