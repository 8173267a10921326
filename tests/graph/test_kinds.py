"""Which class a layer is of."""

import keras
import pytest
from keras import layers

from keras_roots.graph import is_a, obstacle
from keras_roots.layers import BatchNormalization, GroupedConv2D


class Standardised(layers.Conv2D):
    """A convolution that does something else."""


def _quantised():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    model.quantize("int8")
    return model.layers[0]


@pytest.mark.parametrize(
    ("layer", "kind", "expected", "reason"),
    [
        (layers.Conv2D(4, 3), layers.Conv2D, True, ""),
        (GroupedConv2D(4, 3), layers.Conv2D, True, ""),
        (BatchNormalization(), layers.BatchNormalization, True, ""),
        (
            Standardised(4, 3),
            layers.Conv2D,
            False,
            "a Standardised, a subclass of Conv2D: what it computes is not known",
        ),
        (layers.Conv2D(4, 3), layers.Layer, False, "a Conv2D, a subclass of Layer"),
        (layers.DepthwiseConv2D(3), layers.Conv2D, False, ""),
        (layers.ReLU(), layers.Conv2D, False, ""),
    ],
)
def test_only_exact_classes_count(layer, kind, expected, reason):
    assert is_a(layer, kind) is expected
    assert obstacle(layer, kind).startswith(reason)
    assert bool(obstacle(layer, kind)) is bool(reason)


@pytest.mark.filterwarnings("ignore:Layer InputLayer")
def test_quantised_layers_do_not_count():
    layer = _quantised()
    assert not is_a(layer, layers.Dense)
    assert obstacle(layer, layers.Dense) == "its weights are quantised to int8"
