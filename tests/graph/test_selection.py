"""Which layers are meant."""

import keras
import pytest

from keras_roots.graph.selection import Selection
from keras_roots.layers.grouped_conv2d import GroupedConv2D

LAYERS = {
    "point": keras.layers.Conv2D(2, 1),
    "grouped point": GroupedConv2D(2, 1, groups=2),
    "wide": keras.layers.Conv2D(2, (1, 3)),
    "grouped": GroupedConv2D(2, 3, groups=2),
    "dense": keras.layers.Dense(2),
}
MODEL = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="model")


def _chosen(layers):
    selection = Selection(layers, lambda layer: True, "layers")
    return [name for name, layer in LAYERS.items() if selection(layer, name)]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (None, list(LAYERS)),
        ("pointwise", ["point", "grouped point"]),
        ("spatial", ["wide", "grouped"]),
        (["dense", "wide"], ["wide", "dense"]),
        (lambda layer: isinstance(layer, GroupedConv2D), ["grouped point", "grouped"]),
    ],
)
def test_what_is_chosen(layers, expected):
    assert _chosen(layers) == expected


@pytest.mark.parametrize("layers", ["dense", "", 3])
def test_what_is_no_choice(layers):
    with pytest.raises(ValueError, match="'pointwise', 'spatial' or None"):
        Selection(layers, lambda layer: True, "layers")


@pytest.mark.parametrize("layers", [LAYERS["dense"], [LAYERS["dense"]], ["wide", 1]])
def test_layers_are_meant_by_name(layers):
    with pytest.raises(ValueError, match="must be names of layers, such as"):
        Selection(layers, lambda layer: True, "layers")


def test_layers_of_nested_models_have_two_names():
    selection = Selection(["outer/dense", "wide"], lambda layer: True, "layers")
    assert selection(LAYERS["dense"], "outer/dense")
    assert not selection(LAYERS["dense"], "other/dense")
    wide = keras.layers.Conv2D(2, 3, name="wide")
    assert selection(wide, "outer/wide") and selection(wide)
    selection.check(MODEL)


@pytest.mark.parametrize(
    ("layers", "received"),
    [
        (["wide", "nothing"], "Received: nothing"),
        (lambda layer: False, "a choice of none"),
        ([], "a choice of none"),
    ],
)
def test_a_choice_that_is_not_in_the_model(layers, received):
    selection = Selection(layers, lambda layer: True, "convolutions")
    for name, layer in LAYERS.items():
        selection(layer, name)
    with pytest.raises(ValueError, match=f"must name convolutions.*point.*{received}"):
        selection.check(MODEL)


def test_a_model_without_layers_of_the_kind():
    selection = Selection(None, lambda layer: False, "convolutions")
    assert not selection(LAYERS["wide"])
    with pytest.raises(ValueError, match="no convolutions.*'model' with Dense"):
        selection.check(MODEL)
