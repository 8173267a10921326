"""Kernels as matrices, against loops over the filters."""

import keras
import numpy as np
import pytest

from keras_roots.convolutions import kernels

SHAPES = [((3, 5, 4, 6), 1), ((3, 5, 2, 6), 2), ((1, 1, 3, 12), 4)]


def _kernel(shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_columns_are_the_filters_of_a_group(shape, groups):
    kernel = _kernel(shape)
    matrices = kernels.to_matrices(kernel, groups)
    per_group = shape[-1] // groups
    assert matrices.shape == (groups, np.prod(shape[:3]), per_group)
    for i in range(shape[-1]):
        np.testing.assert_array_equal(
            matrices[i // per_group, :, i % per_group], kernel[..., i].ravel()
        )


@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_and_back(shape, groups):
    kernel = _kernel(shape)
    matrices = kernels.to_matrices(kernel, groups)
    np.testing.assert_array_equal(kernels.from_matrices(matrices, *shape[:3]), kernel)


@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_separable_matrices(shape, groups):
    kernel = _kernel(shape)
    matrices = kernels.to_separable_matrices(kernel, groups)
    height, width, channels, filters = shape
    per_group = filters // groups
    assert matrices.shape == (groups, height * channels, width * per_group)
    for y, x, c, i in np.ndindex(*shape):
        group, column = divmod(i, per_group)
        found = matrices[group, y * channels + c, x * per_group + column]
        assert found == kernel[y, x, c, i]


def test_read_is_float64_of_any_dtype():
    layer = keras.layers.Conv2D(2, 1, dtype="bfloat16")
    layer.build((None, 4, 4, 1))
    layer.set_weights([np.full((1, 1, 1, 2), 0.5), np.zeros(2)])
    kernel = kernels.read("conv", layer)
    assert kernel.dtype == np.float64
    np.testing.assert_array_equal(kernel, 0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_name_their_layer(value):
    layer = keras.layers.Conv2D(2, 1)
    layer.build((None, 4, 4, 1))
    layer.set_weights([np.array([0, value]).reshape(1, 1, 1, 2), np.zeros(2)])
    with pytest.raises(ValueError, match="'outer/conv'.*Received: 1 of its 2"):
        kernels.read("outer/conv", layer)


def test_the_kernel_of_a_dense_layer_is_a_1x1():
    layer = keras.layers.Dense(4)
    layer.build((None, 3))
    own = layer.get_weights()[0]
    found = kernels.read("fc", layer)
    np.testing.assert_array_equal(found, own.reshape(1, 1, 3, 4))
    kernels.assign(layer, 2 * found)
    np.testing.assert_array_equal(layer.get_weights()[0], 2 * own)


def test_a_layer_without_weights():
    with pytest.raises(ValueError, match="'conv' must be built"):
        kernels.read("conv", keras.layers.Conv2D(2, 1))
