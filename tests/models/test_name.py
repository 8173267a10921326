"""Names of networks."""

import pytest

import keras_roots
from keras_roots.models import NetworkName


@pytest.mark.parametrize(
    ("text", "keras_name", "groups"),
    [
        ("root_nin:1", "root_nin_1", (1, 1)),
        ("root_nin:8", "root_nin_8", (8, 4)),
        ("root_nin:8:tree", "root_nin_tree_8", (8, 16)),
        ("root_nin:8:column", "root_nin_column_8", (8, 8)),
        ("root_nin:8x2", "root_nin_8x2", (8, 2)),
    ],
)
def test_groups_and_names_of_models(text, keras_name, groups):
    name = NetworkName.parse(text)
    assert str(name) == text
    assert name.groups == groups
    assert name.model_name == keras_name
    model = keras_roots.create_model(text, input_shape=(8, 8, 3))
    assert model.name == keras_name
    assert model.get_layer("conv2a").groups == groups[0]
    assert model.get_layer("conv3a").groups == groups[1]
    again = NetworkName.of_model(keras_name)
    assert again.groups == groups and again.model_name == keras_name


@pytest.mark.parametrize("text", ["root_nin", "root_nin:8", "root_alexnet"])
def test_what_a_name_leaves_out_is_the_models_default(text):
    name = NetworkName.parse(text)
    assert str(name) == text
    assert name.model_name == keras_roots.create_model(text).name


def test_arguments_are_those_that_the_name_gives():
    assert NetworkName.parse("root_nin").arguments == {}
    assert NetworkName.parse("root_nin:8x2").arguments == {"root": (8, 2)}
    named = NetworkName.parse("root_nin:8:root")
    assert named.arguments == {"root": 8, "topology": "root"}
    assert str(named) == "root_nin:8:root"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (("root_nin", 8, "root"), "root_nin:8"),
        (("root_nin", [8, 2], "root"), "root_nin:8x2"),
        (("root_nin", 8, "tree"), "root_nin:8:tree"),
        (("root_alexnet", 2, "column"), "root_alexnet:2"),
        (("root_alexnet", 2, "root"), "root_alexnet:2:root"),
    ],
)
def test_names_of_entries_leave_out_the_default_topology(entry, text):
    entry = dict(zip(("model", "root", "topology"), entry, strict=True))
    assert str(NetworkName.of_entry(entry)) == text


def test_names_sort_by_model_topology_and_groups():
    texts = ["root_nin", "root_nin:8x4", "root_nin:16", "root_nin:2:tree", "root_z:1"]
    names = sorted(map(NetworkName.parse, reversed(texts)), key=lambda n: n.sort_key)
    assert list(map(str, names)) == texts


@pytest.mark.parametrize("name", ["mine", "root_nin", "root_nin_8x", "no_model_8"])
def test_names_of_other_models(name):
    with pytest.raises(ValueError, match=f"model of the zoo.*Received.*{name!r}"):
        NetworkName.of_model(name)


def test_impossible_groups():
    with pytest.raises(ValueError, match="`root` must give every layer groups"):
        _ = NetworkName.parse("root_nin:7").groups
    with pytest.raises(ValueError, match="`name` must be one of.*'no_model'"):
        _ = NetworkName.parse("no_model:8").groups
