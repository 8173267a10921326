"""BatchNorm as a factor and an offset."""

import keras
import numpy as np
import pytest
from helpers import assign_random
from keras import layers

from keras_roots.export.rewrites import folding


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
def test_kernel_and_bias_hold_the_batch_norm(scale, center, use_bias):
    convolution = layers.Conv2D(4, 3, use_bias=use_bias)
    batch_norm = layers.BatchNormalization(scale=scale, center=center)
    model = keras.Sequential([keras.Input((6, 6, 3)), convolution, batch_norm])
    assign_random(model)
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    expected = np.asarray(model(images))
    kernel, bias = folding.folded(convolution, batch_norm)
    found = keras.ops.conv(images, kernel.astype("float32")) + bias.astype("float32")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    kernel, bias = folding.folded(convolution, None)
    np.testing.assert_array_equal(kernel, convolution.get_weights()[0])
    assert bias.shape == (4,) and bias.any() == use_bias


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (layers.BatchNormalization(), (4, 4, 3), True),
        (layers.BatchNormalization(axis=3), (4, 4, 3), True),
        (layers.BatchNormalization(axis=1), (4, 4, 3), False),
        (layers.BatchNormalization(), (3,), False),
        (layers.LayerNormalization(), (4, 4, 3), False),
    ],
)
def test_batch_norm_is_over_the_last_axis_of_images(layer, shape, expected):
    layer.build((None, *shape))
    assert folding.is_batch_norm(layer) is expected
