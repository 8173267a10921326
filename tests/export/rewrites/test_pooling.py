"""Average pooling as a depthwise convolution."""

import keras
import numpy as np
import pytest
from helpers import assert_same_outputs
from keras import layers

from keras_roots.export.rewrites.pooling import convolve_average_pools


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("size", "pool", "strides"),
    [((16, 16), 3, 2), ((9, 7), (3, 2), (2, 1)), ((8, 8), 5, 3), ((8, 8), 2, 2)],
)
def test_average_pools_are_convolutions(size, pool, strides, padding):
    inputs = keras.Input((*size, 6))
    model = keras.Model(
        inputs, layers.AveragePooling2D(pool, strides, padding, name="pool")(inputs)
    )
    rewritten, changes = convolve_average_pools(model)
    assert changes == {"pool": "depthwise convolution"}
    images = np.random.default_rng(0).normal(size=(2, *size, 6))
    assert_same_outputs(model, rewritten, images)


def test_large_average_pools_stay():
    model = keras.Sequential([keras.Input((8, 8, 4)), layers.AveragePooling2D((4, 7))])
    assert convolve_average_pools(model)[1] == {}
