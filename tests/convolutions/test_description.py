"""Counted costs, against the paper's speed-ups and `profile` of real layers."""

import itertools

import keras
import pytest

from keras_roots import profile
from keras_roots.convolutions import description
from keras_roots.convolutions.description import break_even_rank, theoretical_speedup
from keras_roots.convolutions.schemes import CROSS_FILTER, SEPARABLE

# Force Regularization, Table 4, AlexNet: kernel, groups, and ranks with theoretical
# speed-ups, without and with force.
TABLE_4 = {
    "conv3": ((3, 3, 256, 384), 1, (184, 1.79), (124, 2.65)),
    "conv4": ((3, 3, 192, 384), 2, (201, 1.72), (106, 3.26)),
    "conv5": ((3, 3, 192, 256), 2, (146, 1.63), (129, 1.85)),
}


@pytest.mark.parametrize("layer", TABLE_4)
def test_speedups_of_the_paper(layer):
    kernel_shape, groups, *points = TABLE_4[layer]
    for rank, speedup in points:
        assert round(theoretical_speedup(kernel_shape, groups, rank), 2) == speedup


@pytest.mark.parametrize(
    ("kernel_shape", "groups"),
    [((3, 3, 16, 16), 1), ((1, 1, 4, 8), 1), ((5, 5, 8, 64), 4), ((1, 1, 1, 2), 2)],
)
def test_break_even(kernel_shape, groups):
    paying = [
        rank
        for rank in range(groups, kernel_shape[3] + 1, groups)
        if theoretical_speedup(kernel_shape, groups, rank) > 1
    ]
    assert break_even_rank(kernel_shape, groups) == max(paying, default=0)


GEOMETRIES = list(
    itertools.product(
        [(3, 5), (1, 1)],
        [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 3))],
        ["same", "valid"],
        [True, False],
        [1, 2],
    )
)


@pytest.mark.parametrize(("kernel", "steps", "padding", "bias", "groups"), GEOMETRIES)
def test_as_profile_counts(conv, one_layer, kernel, steps, padding, bias, groups):
    layer = conv(
        8,
        kernel,
        groups=groups,
        strides=steps[0],
        dilation_rate=steps[1],
        padding=padding,
        use_bias=bias,
    )
    found = profile(one_layer(layer, shape=(17, 20, 6)))
    cost = description.Convolution.of(layer, [(17, 20)]).cost
    assert cost == (found.macs, found.params)


@pytest.mark.parametrize("scheme", [CROSS_FILTER, SEPARABLE])
def test_factors_by_hand(conv, one_layer, scheme):
    """3x5, strides 2 and 3, 17x20 to 9x7 pixels; 4 of 8 filters in 2 groups."""
    layer = conv(8, (3, 5), groups=2, strides=(2, 3), padding="same")
    one_layer(layer, shape=(17, 20, 6))
    factors = description.Convolution.of(layer, [(17, 20)]).factors(scheme, 4)
    weights = {
        CROSS_FILTER: [(9 * 7, 15 * 3 * 4), (9 * 7, 2 * 8)],
        SEPARABLE: [(9 * 20, 3 * 3 * 4), (9 * 7, 5 * 2 * 8)],
    }[scheme]
    assert description.factors_cost(factors) == (
        sum(positions * count for positions, count in weights) + 8,
        sum(count for _, count in weights) + 8,
    )


def test_every_call_counts(conv):
    layer = conv(6, 3, strides=2, padding="same")
    inputs = keras.Input((16, 16, 6))
    model = keras.Model(inputs, layer(layer(inputs)))
    sides = description.input_sides(model)[id(layer)]
    assert sides == [(16, 16), (8, 8)]
    found = profile(model)
    assert description.Convolution.of(layer, sides).cost == (found.macs, found.params)


def test_channels_first(conv):
    layer = conv(4, 3, data_format="channels_first")
    model = keras.Sequential([keras.Input((6, 10, 12)), layer])
    assert description.input_sides(model)[id(layer)] == [(10, 12)]


def test_unknown_sides_are_filled_in(conv):
    layer = conv(4, 3)
    model = keras.Sequential([keras.Input((None, None, 6)), layer])
    assert description.input_sides(model, (10, 12, 6))[id(layer)] == [(10, 12)]
