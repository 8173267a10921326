"""Convolutions of a model by name: which are found, chosen and left aside."""

import helpers
import keras
import pytest
from keras import layers

from keras_roots.convolutions.find import convolutions


@pytest.fixture
def model(conv):
    """Convolutions of every kind, one of them shared and one within a model."""
    inner = keras.Sequential(
        [keras.Input((8, 8, 8)), conv(8, 3, name="in")], name="sub"
    )
    shared = conv(8, 3, padding="same", name="shared")
    inputs = keras.Input((8, 8, 4))
    x = conv(8, 1, name="point")(inputs)
    x = shared(shared(x))
    x = conv(8, 3, groups=8, padding="same", name="depthwise")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="stock")(x)
    return keras.Model(inputs, layers.Flatten()(inner(x)))


def test_all_but_depthwise_ones(model):
    found = convolutions(model)
    assert list(found) == ["point", "shared", "sub/in"]
    assert found["shared"] is model.get_layer("shared")


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (["shared"], ["shared"]),
        (("sub/in", "point"), ["point", "sub/in"]),
        ("pointwise", ["point"]),
        ("spatial", ["shared", "sub/in"]),
        (lambda layer: layer.filters == 8, ["point", "shared", "sub/in"]),
    ],
)
def test_some(model, chosen, names):
    assert list(convolutions(model, chosen)) == names


@pytest.mark.parametrize("chosen", [["other"], ["depthwise"], lambda layer: False])
def test_what_there_is_not(model, chosen):
    with pytest.raises(ValueError, match="`layers`"):
        convolutions(model, chosen)


def test_models_without_any():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="no 2D convolutions"):
        convolutions(model)


def test_names_are_those_of_helpers_network():
    found = convolutions(helpers.convolutions(), "spatial")
    assert list(found) == ["first", "spatial"]


@pytest.fixture
def dense():
    """Dense layers before, between and after others; the last two make outputs."""
    shared = layers.Dense(8, name="shared")
    inner = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, name="in")], name="sub"
    )
    inputs = keras.Input((6, 6, 4))
    x = layers.Dense(8, name="map")(inputs)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, name="conv")(x))
    x = shared(shared(layers.GlobalAveragePooling2D()(x)))
    x = layers.Add()([inner(x), x])
    embedding = layers.Dense(5, name="embedding")(x)
    scores = layers.Dense(3, name="head")(layers.ReLU()(x))
    outputs = [layers.LayerNormalization()(embedding), layers.Softmax()(scores)]
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    ("chosen", "hidden", "names"),
    [
        (None, False, ["conv"]),
        (None, True, ["map", "conv", "shared", "sub/in"]),
        (["map", "head"], False, ["map", "head"]),
        (["sub/in"], True, ["sub/in"]),
        (lambda layer: layer.filters == 8, False, ["conv"]),
        (lambda layer: "a" in layer.name, False, ["map", "shared", "head"]),
        ("pointwise", True, None),
        ("spatial", True, ["conv"]),
    ],
)
def test_dense_layers(dense, chosen, hidden, names):
    if names is None:
        with pytest.raises(ValueError, match="a choice of none of them"):
            convolutions(dense, chosen, hidden)
    else:
        assert sorted(convolutions(dense, chosen, hidden)) == sorted(names)


def test_a_function_that_fails_for_convolutions_fails(dense):
    with pytest.raises(AttributeError, match="nothing"):
        convolutions(dense, lambda layer: layer.nothing)


@pytest.mark.parametrize(
    ("hidden", "names"), [(False, "2D convolutions"), (True, "hidden Dense layers")]
)
def test_models_of_a_classifier_alone_say_how_to_choose_it(hidden, names):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="head")])
    with pytest.raises(ValueError, match=rf"{names}\..*layers=\['head'\]"):
        convolutions(model, hidden_dense=hidden)
    assert list(convolutions(model, ["head"])) == ["head"]
