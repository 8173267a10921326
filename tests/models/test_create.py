"""Models found and built by name."""

import pytest

import keras_roots


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (
            "root_resnet*",
            [
                "root_resnet20",
                "root_resnet200",
                "root_resnet50",
                "root_resnet50_thin",
            ],
        ),
        ("*net", ["root_alexnet", "root_convnet", "root_googlenet"]),
        ("root_nin", ["root_nin"]),
        ("vgg*", []),
    ],
)
def test_list_models(pattern, names):
    assert keras_roots.list_models(pattern) == names


@pytest.mark.parametrize("pattern", [3, None, ["root_nin"]])
def test_patterns_are_texts(pattern):
    with pytest.raises(ValueError, match="`pattern` must be a text. Received: pattern"):
        keras_roots.list_models(pattern)
    with pytest.raises(ValueError, match="`weights` must be one of the released"):
        keras_roots.list_models(weights=pattern or 3)


def test_create_model_is_the_constructor():
    made = keras_roots.create_model("root_nin", root=4, topology="column", classes=3)
    assert made.name == "root_nin_column_4"
    assert made.output_shape == (None, 3)
    assert made.get_layer("conv3a").groups == 4


def test_unknown_model():
    with pytest.raises(ValueError, match="'root_nin'.*Received: name='resnet50'"):
        keras_roots.create_model("resnet50")


def test_names_say_what_was_asked_for():
    assert keras_roots.RootNiN(root=(8, 2)).name == "root_nin_8x2"
    assert keras_roots.RootNiN(root=8, name="mine").name == "mine"


@pytest.mark.parametrize("root", [8, (8, 2)])
def test_names_with_groups_are_constructors_with_root(root):
    text = "root_nin:8" if root == 8 else "root_nin:8x2"
    made = keras_roots.create_model(text, input_shape=(8, 8, 3))
    expected = keras_roots.RootNiN(root, input_shape=(8, 8, 3))
    assert made.name == expected.name
    for name in ("conv2a", "conv3a"):
        assert made.get_layer(name).groups == expected.get_layer(name).groups > 1


@pytest.mark.parametrize(
    "text",
    [
        *("", "root_nin:", "root_nin:a", "root_nin:8:tree:1", "root_nin:8x", "a-b"),
        *(3, None, ["root_nin"], b"root_nin"),
    ],
)
def test_texts_that_are_no_names(text):
    with pytest.raises(ValueError, match="`name` must be a model's, alone or as"):
        keras_roots.create_model(text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"groups": 3}, "root_nin takes the arguments root, .*Received: groups=3"),
        ({"input_shape": 3}, "`input_shape` must be a tuple of three.*=3"),
    ],
)
def test_impossible_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        keras_roots.create_model("root_nin", **arguments)


def test_impossible_names():
    with pytest.raises(ValueError, match="`name` must be one of"):
        keras_roots.create_model("no_model:8")
    with pytest.raises(ValueError, match="`topology` must be one of"):
        keras_roots.create_model("root_nin:8:bush")
    with pytest.raises(ValueError, match="`root` is in the name.*root=4"):
        keras_roots.create_model("root_nin:8", root=4)
