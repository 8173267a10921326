"""Descriptions of convolutions, against `profile` and the layers themselves."""

import dataclasses
import itertools

import keras
import pytest

from keras_roots import profile
from keras_roots.convolutions import description
from keras_roots.convolutions.description import Convolution

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
    cost = Convolution.of(layer, [(17, 20)]).cost
    assert cost == (found.macs, found.params)


def test_every_call_counts(conv):
    layer = conv(6, 3, strides=2, padding="same")
    inputs = keras.Input((16, 16, 6))
    model = keras.Model(inputs, layer(layer(inputs)))
    sides = description.input_sides(model)[id(layer)]
    assert sides == [(16, 16), (8, 8)]
    found = profile(model)
    assert Convolution.of(layer, sides).cost == (found.macs, found.params)


def test_channels_first(conv):
    layer = conv(4, 3, data_format="channels_first")
    model = keras.Sequential([keras.Input((6, 10, 12)), layer])
    assert description.input_sides(model)[id(layer)] == [(10, 12)]


def test_unknown_sides_are_filled_in(conv):
    layer = conv(4, 3)
    model = keras.Sequential([keras.Input((None, None, 6)), layer])
    assert description.input_sides(model, (10, 12, 6))[id(layer)] == [(10, 12)]


@pytest.mark.parametrize("inputs", [[(None, 8)], [(8, 8, 3)], [(8, 8), (8, None)]])
def test_unknown_sides_have_no_cost(conv, one_layer, inputs):
    layer = conv(2, 3, name="conv")
    one_layer(layer)
    with pytest.raises(
        ValueError, match="`inputs` must be .*'conv'.*Received: inputs="
    ):
        Convolution.of(layer, inputs)


CONVOLUTION = Convolution(
    (3, 2, 2, 6), 2, (1, 2), "valid", (2, 1), True, ((9, 7), (8, 8))
)


def test_texts():
    first, second = CONVOLUTION.calls
    rest = "filters 6, groups 2, strides 1x2, dilation 2x1, valid, bias"
    assert str(first) == f"3x2 on 9x7x4, {rest}"
    assert str(CONVOLUTION) == f"3x2 on 9x7x4 and 8x8x4, {rest}"
    assert Convolution.parse(str(second)) == second
    plain = dataclasses.replace(second, use_bias=False, padding="same")
    assert Convolution.parse(str(plain)) == plain


@pytest.mark.parametrize("text", ["", "conv", f"{CONVOLUTION}", f"{CONVOLUTION}x"])
def test_texts_that_are_no_convolution(text):
    with pytest.raises(ValueError, match="`text` must describe a convolution"):
        Convolution.parse(text)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_description_makes_such_a_layer(groups):
    convolution = Convolution(
        (3, 2, 4 // groups, 6), groups, (2, 2), "valid", (1, 1), True, ((9, 7),)
    )
    layer = convolution.layer()
    model = keras.Sequential([keras.Input((9, 7, 4)), layer])
    assert Convolution.of(layer, [(9, 7)]) == convolution
    assert model.output_shape == (None, *convolution.outputs[0], 6) == (None, 4, 3, 6)
    assert [weight.shape for weight in layer.weights] == [(3, 2, 4 // groups, 6), (6,)]


def test_other_groups(conv, one_layer):
    layers = [conv(12, 3, groups=groups) for groups in (1, 2, 6)]
    for layer in layers:
        one_layer(layer)
    one, *others = (Convolution.of(layer, [(9, 7)]) for layer in layers)
    assert [one.with_groups(each.groups) for each in others] == others
    assert [each.with_groups(1) for each in others] == [one, one]


def test_costs_add_up():
    one, other = CONVOLUTION.calls
    assert description.total_cost([one, other]) == (
        CONVOLUTION.cost.macs,
        2 * CONVOLUTION.cost.params,
    )
    assert description.total_cost([]) == (0, 0)


@pytest.mark.parametrize("shape", [(6,), (7, 6), (5, 4, 6), (2, 3, 4, 6)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_dense_layers_are_1x1s_of_a_kind_of_their_own(shape, use_bias):
    layer = keras.layers.Dense(9, use_bias=use_bias)
    model = keras.Sequential([keras.Input(shape), layer])
    found = Convolution.of(layer, description.input_sides(model)[id(layer)])
    counted = profile(model)
    assert found.cost == (counted.macs, counted.params)
    assert str(found).startswith("Dense 1x1 on ")
    assert Convolution.parse(str(found)) == found
    as_convolution = dataclasses.replace(found, kind="Conv2D")
    assert str(as_convolution) in str(found) and as_convolution.cost == found.cost
    again = found.layer()
    outputs = again.compute_output_shape((None, *found.input_shape))
    assert type(again) is keras.layers.Dense and again.use_bias == use_bias
    assert outputs[-1] == 9
    assert len(found.input_shape) == min(len(shape), 3)


def test_a_dense_layer_of_unknown_steps():
    layer = keras.layers.Dense(9)
    model = keras.Sequential([keras.Input((None, 6)), layer])
    with pytest.raises(ValueError, match="`inputs` must be the height and width"):
        Convolution.of(layer, description.input_sides(model)[id(layer)])
