"""Convolutions of several pixels of a row at once."""

import keras
import numpy as np
import pytest
from helpers import assert_same_outputs, assign_random
from keras import layers

from keras_roots import RootResNet50
from keras_roots.export.rewrites import rewrite
from keras_roots.export.rewrites.stem import Widening, widen_stem, widened_kernel
from keras_roots.export.targets import TARGETS


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("size", "kernel", "strides", "pixels"),
    [
        (16, 7, 2, 2),
        (32, 5, 1, 2),
        (28, 11, 4, 4),
        (20, (3, 7), (1, 2), 2),
        (24, 9, 1, 2),
        (16, 6, 2, 2),
        (15, 7, 2, None),
        (16, (7, 1), 2, None),
        (16, 7, 3, None),
    ],
)
def test_rows_of_pixels_are_widened(size, kernel, strides, pixels, padding, batch_norm):
    inputs = keras.Input((size, size, 3))
    conv = layers.Conv2D(
        32, kernel, strides, padding, use_bias=not batch_norm, name="c"
    )
    x = conv(inputs)
    if batch_norm:
        x = layers.ReLU()(layers.BatchNormalization()(x))
    model = assign_random(keras.Model(inputs, layers.Conv2D(4, 1)(x)))
    tile = TARGETS["avx512"]["int8"]
    rewritten, changes = widen_stem(model, tile)
    if padding == "same":
        assert changes == ({"c": f"{pixels} pixels at a time"} if pixels else {})
    images = np.random.default_rng(0).normal(size=(2, size, size, 3))
    assert_same_outputs(model, rewritten, images)


@pytest.mark.parametrize(
    ("target", "dtype", "widened"),
    [
        ("avx512", "int8", True),
        ("avx2", "int8", True),
        ("avx512", "float32", False),
        ("neon-dot", "int8", False),
        ("neon-dot", "float32", False),
    ],
)
def test_stems_are_widened_where_it_pays(target, dtype, widened):
    model = RootResNet50(input_shape=(64, 64, 3), classes=5)
    changes = rewrite(model, "widen_stem", dtype, target)[1]
    assert bool(changes) is widened


@pytest.mark.parametrize(
    "arguments",
    [
        {"dilation_rate": 2},
        {"activation": "softmax"},
        {"groups": 3, "filters": 6},
    ],
)
def test_other_stems_stay(arguments):
    arguments = {"filters": 4, "kernel_size": 5, "padding": "same", **arguments}
    model = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(**arguments)])
    assert rewrite(model, "widen_stem", "int8")[1] == {}


def test_a_widened_kernel_holds_the_kernel_once_per_output():
    kernel = np.arange(1, 13).reshape(1, 3, 2, 2)
    wide = widened_kernel(kernel, Widening(2, 2, 3, 1), stride=1)
    assert wide.shape == (1, 3, 4, 4)
    rows = wide.reshape(6, 2, 2, 2)  # pixels, channels, outputs, filters
    for output in (0, 1):
        start = 1 + output
        np.testing.assert_array_equal(rows[start : start + 3, :, output], kernel[0])
        assert np.count_nonzero(rows[:, :, output]) == kernel.size
