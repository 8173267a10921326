"""The registry: models by name."""

import pytest

import keras_roots
from keras_roots.models import registry


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("root_resnet*", ["root_resnet20", "root_resnet200", "root_resnet50"]),
        ("*net", ["root_alexnet", "root_convnet", "root_googlenet"]),
        ("root_nin", ["root_nin"]),
        ("vgg*", []),
    ],
)
def test_list_models(pattern, names):
    assert keras_roots.list_models(pattern) == names


def test_create_model_is_the_constructor():
    made = keras_roots.create_model("root_nin", root=4, topology="column", classes=3)
    assert made.name == "root_nin_column_4"
    assert made.output_shape == (None, 3)
    assert made.get_layer("conv3a").groups == 4
    assert registry.get_constructor("root_nin") is keras_roots.RootNiN


def test_unknown_model():
    with pytest.raises(ValueError, match="'root_nin'.*Received: name='resnet50'"):
        keras_roots.create_model("resnet50")


def test_names_say_what_was_asked_for():
    assert keras_roots.RootNiN(root=(8, 2)).name == "root_nin_8x2"
    assert keras_roots.RootNiN(root=8, name="mine").name == "mine"
