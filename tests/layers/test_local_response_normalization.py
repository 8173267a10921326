"""LocalResponseNormalization against its definition."""

import keras
import numpy as np
import pytest

from keras_roots.layers import LocalResponseNormalization


def mean_square(x, size, region):
    """Neighbour by neighbour; those outside count as zero."""
    total = np.zeros_like(x)
    reach = size // 2
    _, height, width, channels = x.shape
    for index in np.ndindex(x.shape):
        image, row, column, channel = index
        if region == "across_channels":
            near = slice(max(channel - reach, 0), min(channel + reach + 1, channels))
            total[index] = (x[image, row, column, near] ** 2).sum() / size
        else:
            rows = slice(max(row - reach, 0), min(row + reach + 1, height))
            columns = slice(max(column - reach, 0), min(column + reach + 1, width))
            total[index] = (x[image, rows, columns, channel] ** 2).sum() / size**2
    return total


@pytest.mark.parametrize("region", ["across_channels", "within_channel"])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("alpha", [1e-4, 2.0])
def test_values(region, size, alpha):
    x = np.random.default_rng(0).normal(0, 30, (2, 4, 6, 7))
    expected = x / (1 + alpha * mean_square(x, size, region)) ** 0.75
    layer = LocalResponseNormalization(size, alpha, region)
    np.testing.assert_allclose(layer(x.astype("float32")), expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_squares_do_not_overflow_half_precision(dtype):
    layer = LocalResponseNormalization(3, 1.0, dtype=dtype)
    found = layer(np.full((1, 2, 2, 3), 1000.0, "float32"))
    assert keras.backend.standardize_dtype(found.dtype) == dtype.removeprefix("mixed_")
    found = np.asarray(keras.ops.cast(found, "float32"))
    assert found[0, 0, 0, 1] == pytest.approx(1000 / (1 + 1e6) ** 0.75, rel=0.02)


def test_config_and_shape():
    layer = LocalResponseNormalization(3, 0.5, "within_channel", name="norm")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert again.get_config() == layer.get_config()
    assert (again.size, again.alpha, again.region) == (3, 0.5, "within_channel")
    assert layer.compute_output_shape((None, None, 6, 7)) == (None, None, 6, 7)
    images = keras.Input((None, None, 4))
    assert layer(images).shape == (None, None, None, 4)


@pytest.mark.parametrize("size", [0, -3, 3.0, "3", True])
def test_a_size_that_is_no_integer(size):
    with pytest.raises(
        ValueError, match="`size` must be an integer, 1.*size="
    ) as error:
        LocalResponseNormalization(size, 1.0)
    assert repr(size) in str(error.value)


def test_an_even_size():
    with pytest.raises(ValueError, match="`size` must be odd. Received: size=2"):
        LocalResponseNormalization(2, 1.0)
    assert LocalResponseNormalization(np.int64(3), 1.0).get_config()["size"] == 3


def test_bad_region():
    with pytest.raises(ValueError, match="`region` must be one of.*region='pixels'"):
        LocalResponseNormalization(3, 1.0, "pixels")
