"""Networks that commands start from."""

import keras
import numpy as np
import pytest

from keras_roots.training.data import datasets
from keras_roots.training.networks import applications
from keras_roots.training.networks.start import Start, Zoo, parse_model


def _dataset(classes=7, image_size=16):
    split = datasets.Arrays(np.zeros((1, 16, 16, 3), "uint8"), np.zeros(1, "int64"))
    names = tuple(map(str, range(classes)))
    return datasets.Dataset("mine", names, split, split, split, image_size)


@pytest.fixture
def flat(tmp_path):
    """A network, and the file that holds it."""
    model = keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(2))
    path = tmp_path / "net.keras"
    model.save(path)
    return model, str(path)


@pytest.mark.parametrize("cls", [Zoo, Start])
@pytest.mark.parametrize(
    ("own", "given", "size"), [(16, None, 16), (16, 24, 24), (None, None, 32)]
)
def test_a_network_of_the_zoo_fits_the_data_set(cls, own, given, size):
    options = cls(model="root_nin", root=(8, 2), topology="tree", image_size=given)
    model = options.start(_dataset(image_size=own))
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, 7)
    groups = [model.get_layer(name).groups for name in ("conv2a", "conv3a")]
    assert groups == [8, 2]


def test_a_network_of_the_zoo_without_a_data_set():
    model = Start(model="root_nin", image_size=16).build(classes=7)
    assert model.input_shape == (None, 16, 16, 3)
    assert model.output_shape == (None, 7)
    own = Start(model="root_nin").build()
    assert (own.input_shape[1:], own.output_shape[1:]) == ((32, 32, 3), (10,))


def test_the_order_of_axes_is_that_of_keras():
    keras.config.set_image_data_format("channels_first")
    assert Zoo(image_size=16).build().input_shape == (None, 3, 16, 16)


def test_a_file_is_taken_as_it_is(flat):
    model, path = flat
    for found in (Start(path=path).start(_dataset()), Start(path=path).build()):
        for ours, theirs in zip(found.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("name", "text"), [("no", "existing"), ("bad", "whole")])
def test_another_file_is_refused(name, text, tmp_path):
    (tmp_path / "bad.keras").write_text("no model")
    start = Start(path=str(tmp_path / f"{name}.keras"))
    with pytest.raises(ValueError, match=f"`path` must be an? {text} .keras"):
        start.build()


def test_a_released_whole_network_has_its_own_size():
    arguments = {
        "model": "root_resnet20",
        "weights": "cifar10-force-l2-decomposed",
    }
    model = Start(**arguments).start(_dataset(classes=10, image_size=16))
    assert model.input_shape == (None, 32, 32, 3)
    with pytest.raises(ValueError, match="classes.*should be 10"):
        Start(**arguments).start(_dataset())
    with pytest.raises(ValueError, match="whole network"):
        Start(**arguments, image_size=32).start(_dataset(classes=10))


def test_keras_applications_start_with_their_imagenet_weights(monkeypatch):
    given = []
    monkeypatch.setattr(applications, "start", lambda *values: given.append(values))
    dataset = _dataset()
    Start(path="keras.applications.VGG16", image_size=48).start(dataset)
    assert given == [("keras.applications.VGG16", dataset, 48)]


def test_a_run_remembers_the_options_by_the_names_of_their_flags():
    options = {"model": "root_nin", "root": (8, 2), "topology": "tree"}
    options |= {"weights": None, "image_size": 24}
    assert Zoo(**options).describe() == options
    assert Start(**options).describe() == options | {"from": None}
    assert Start(path="net.keras").describe()["from"] == "net.keras"


@pytest.mark.parametrize("given", [{"path": "a.keras"}, {"weights": "cifar10"}])
def test_one_trained_network(given):
    Start(**given).check_trained()


@pytest.mark.parametrize("given", [{}, {"path": "a.keras", "weights": "cifar10"}])
def test_none_or_two_trained_networks(given):
    with pytest.raises(ValueError, match="trained network.*`weights`, not both"):
        Start(**given).check_trained()


@pytest.mark.parametrize(
    ("option", "value"), [("topology", "ring"), ("image_size", 0), ("image_size", "a")]
)
def test_impossible_options(option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be"):
        Zoo(**{option: value})


def test_the_name_and_the_entry_of_a_released_network():
    zoo = Zoo(model="root_nin", root=8, weights="cifar10")
    assert str(zoo.name) == "root_nin:8:root"
    entry = zoo.released()
    assert (entry["model"], entry["groups"]) == ("root_nin", [8, 4])
    assert Zoo(model="root_nin", root=(8, 4), weights="cifar10").released() == entry
    assert str(Zoo(root=(8, 2), topology="tree").name) == "root_nin:8x2:tree"
    for unknown in ({"root": 12}, {"root": 8, "weights": None}, {"image_size": 32}):
        options = {"model": "root_nin", "weights": "cifar10"} | unknown
        assert Zoo(**options).released() is None


def test_models_are_named_as_the_registry_names_them():
    model = parse_model("root_nin:8:column")
    assert model.name == "root_nin_column_8"
    with pytest.raises(ValueError, match="`name` must be a model's, alone or as"):
        parse_model("root_nin:")


def test_models_of_keras_applications_by_name():
    shape = (32, 32, 3)
    model = parse_model("keras.applications.MobileNet", input_shape=shape, classes=5)
    assert model.output_shape == (None, 5)
    with pytest.raises(ValueError, match="needs one of .*VGG16.*Received: 'VGG17'"):
        parse_model("keras.applications.VGG17")
