"""Layers by the text of a command."""

import keras
import pytest

from keras_roots.training.stages.layer_names import layers_of


def test_layers_by_expression():
    chosen = layers_of(r"conv\d")
    names = ["conv1", "conv12", "conv2"]
    layers = [keras.layers.Conv2D(1, 1, name=name) for name in names]
    assert list(map(chosen, layers)) == [True, False, True]


def test_kinds_of_layers():
    assert layers_of("all") is None
    assert layers_of("pointwise") == "pointwise"
    assert layers_of("spatial") == "spatial"


def test_the_choice_of_the_paper():
    chosen = layers_of("paper", "root_convnet")
    names = {name: keras.layers.Conv2D(1, 1, name=name) for name in ("conv1", "mix1")}
    assert chosen(names["conv1"])
    assert not chosen(names["mix1"])


@pytest.mark.parametrize(
    "layers, family, message",
    [
        ("paper", "root_nin", "'paper' is for the paper's networks.*root_nin"),
        ("paper", None, "root_convnet"),
        ("conv(", None, "regular expression.*fails with"),
    ],
)
def test_impossible_layers(layers, family, message):
    with pytest.raises(ValueError, match=message):
        layers_of(layers, family)
