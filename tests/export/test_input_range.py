import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_roots.export.input_range import (
    InputRange,
    InputRangeWarning,
    input_ranges,
)

SHAPE = (8, 8, 3)


def _model(*first, shape=SHAPE):
    """A network of functions of a tensor before a convolution."""
    x = inputs = keras.Input(shape)
    for function in first:
        x = function(x)
    return keras.Model(inputs, layers.Conv2D(2, 1)(x))


def _normalization(mean, deviation):
    return layers.Normalization(mean=[mean] * 3, variance=[deviation**2] * 3)


def _nested(*inner):
    return _model(keras.Sequential([keras.Input(SHAPE), *inner]))


# Networks, and the mean and deviation that their first layers expect.
PIXELS = (127.5, 255 / np.sqrt(12))
EXPECTED = {
    "1/255": (lambda: _model(layers.Rescaling(1 / 255)), PIXELS),
    "1/127.5": (lambda: _model(layers.Rescaling(1 / 127.5, -1)), PIXELS),
    "per channel": (
        lambda: _model(layers.Rescaling([1 / 64] * 3, [-2] * 3)),
        (128, 74),
    ),
    "means alone": (lambda: _model(layers.Rescaling(1.0, [-128] * 3)), PIXELS),
    "to 0 and 1": (lambda: _model(layers.Rescaling(0.5, 0.5)), (0, 2 / np.sqrt(12))),
    "inverted": (lambda: _model(layers.Rescaling(-1 / 255, 0)), PIXELS),
    "statistics": (lambda: _model(_normalization(-500, 400)), (-500, 400)),
    "division": (lambda: _model(lambda x: x / 255), PIXELS),
    "arithmetic": (lambda: _model(lambda x: (x - 127.5) / 127.5), PIXELS),
    "division, statistics": (
        lambda: _model(lambda x: x / 255, _normalization(0.5, 0.25)),
        (127.5, 63.75),
    ),
    "lambda": (lambda: _model(layers.Lambda(lambda x: x / 255)), PIXELS),
    "augmentation": (
        lambda: _model(
            layers.RandomFlip(), layers.RandomRotation(0.1), layers.Rescaling(1 / 255)
        ),
        PIXELS,
    ),
    "resizing": (lambda: _model(layers.Resizing(6, 6), lambda x: x / 255), PIXELS),
    "nested": (lambda: _nested(layers.Rescaling(1 / 255)), PIXELS),
    "any size": (
        lambda: _model(layers.Rescaling(1 / 255), shape=(None, None, 3)),
        PIXELS,
    ),
    "nothing": (lambda: _model(), None),
    "a convolution first": (
        lambda: _model(layers.Conv2D(3, 1), layers.Rescaling(1 / 255)),
        None,
    ),
    "no line": (lambda: _model(layers.Lambda(ops.square)), None),
    "its inverse": (lambda: _model(lambda x: 255 / x), None),
}


@pytest.mark.parametrize(("make", "expected"), EXPECTED.values(), ids=EXPECTED)
def test_what_first_layers_expect(make, expected):
    (found,) = input_ranges(make())
    if expected is None:
        assert found is None
    else:
        np.testing.assert_allclose((found.mean, found.deviation), expected, rtol=0.01)


def test_statistics_of_channels_and_positions_are_pooled():
    rng = np.random.default_rng(0)
    data = rng.normal(rng.uniform(0, 50, (8, 8, 3)), 9, (500, 8, 8, 3))
    for axis in (-1, (1, 2, 3)):
        layer = layers.Normalization(axis=axis)
        layer.adapt(data)
        (found,) = input_ranges(_model(layer))
        np.testing.assert_allclose(found.mean, data.mean(), rtol=1e-3)
        np.testing.assert_allclose(found.deviation, data.std(), rtol=1e-3)
        assert found.measured


def test_every_input_has_its_own():
    a, b, c = (keras.Input(SHAPE) for _ in range(3))
    joined = layers.Concatenate()(
        [layers.Rescaling(1 / 255)(a), layers.Conv2D(3, 1)(b), _normalization(9, 2)(c)]
    )
    pixels, none, statistics = input_ranges(keras.Model([a, b, c], joined))
    assert none is None
    assert pixels.mean == pytest.approx(127.5) and not pixels.measured
    assert (statistics.mean, statistics.deviation) == pytest.approx((9, 2))


def _uniform(low, high):
    return np.random.default_rng(1).uniform(low, high, (20, *SHAPE))


def _normal(mean, deviation):
    return np.random.default_rng(1).normal(mean, deviation, (20, *SHAPE))


HOUNSFIELD = [_normalization(-500, 400)]
FITTING = {
    "pixels": ([layers.Rescaling(1 / 255)], _uniform(0, 255)),
    "dark pixels": ([layers.Rescaling(1 / 255)], _uniform(0, 30)),
    "Hounsfield units": (HOUNSFIELD, _normal(-400, 500)),
    "12 bits": ([_normalization(1900, 900)], _uniform(0, 4095)),
    "thermal": ([_normalization(29500, 120)], _normal(29400, 150)),
    "after one's own scaling": ([layers.Rescaling(1 / 127.5)], _uniform(-100, 100)),
    "no normalisation": ([], _uniform(-1e6, 1e6)),
}


@pytest.mark.parametrize(("first", "data"), FITTING.values(), ids=FITTING)
def test_data_that_fit_are_no_cause_for_a_warning(first, data):
    (expected,) = input_ranges(_model(*first))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if expected is not None:
            expected.warn("images", data)


TWICE = "normalised already"
OTHER = "other data"
STRANGE = {
    "divided twice": ([layers.Rescaling(1 / 255)], _uniform(0, 1), TWICE),
    "by an operation": ([lambda x: x / 255], _uniform(0, 1), TWICE),
    "augmentation first": (
        [layers.RandomFlip(), layers.Rescaling(1 / 127.5, -1)],
        _uniform(-1, 1),
        TWICE,
    ),
    "statistics of pixels": ([_normalization(120, 60)], _normal(0, 1), TWICE),
    "statistics of 0 to 1": ([_normalization(0.48, 0.23)], _normal(0, 1), OTHER),
    "Hounsfield units": (HOUNSFIELD, _normal(0, 1), TWICE),
    "means alone": ([layers.Rescaling(1.0, [-110] * 3)], _normal(0, 1), TWICE),
    "pixels for 0 to 1": ([_normalization(0.5, 0.25)], _uniform(0, 255), OTHER),
    "another sensor": ([layers.Rescaling(1 / 255)], _uniform(0, 4095), OTHER),
    "far away": (HOUNSFIELD, _normal(4000, 400), OTHER),
    "constant": ([layers.Rescaling(1 / 255)], np.zeros((2, *SHAPE)), TWICE),
}


@pytest.mark.parametrize(("first", "data", "text"), STRANGE.values(), ids=STRANGE)
def test_data_of_another_range_are_warned_of_once_with_figures(first, data, text):
    (expected,) = input_ranges(_model(*first))
    with pytest.warns(InputRangeWarning) as caught:
        expected.warn("images", data)
    (warning,) = caught
    message = str(warning.message)
    assert message.startswith("`images` ") and text in message
    for figure in (data.mean(), data.std(), data.min(), expected.mean):
        assert f"{figure:.4g}" in message
    assert expected.layers[0] in message


def test_random_numbers_have_the_range():
    drawn = InputRange(100, 20, ("norm",), True).random(
        (50, *SHAPE), np.random.default_rng(0)
    )
    assert drawn.dtype == "float32"
    np.testing.assert_allclose((drawn.mean(), drawn.std()), (100, 20), rtol=0.02)
