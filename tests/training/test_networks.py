"""Networks that commands start from."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_roots.training import applications, networks
from keras_roots.training.data import datasets


def _dataset(classes=7, image_size=16):
    split = datasets.Arrays(np.zeros((1, 16, 16, 3), "uint8"), np.zeros(1, "int64"))
    names = tuple(map(str, range(classes)))
    return datasets.Dataset("mine", names, split, split, split, image_size)


@pytest.mark.parametrize(
    ("own", "asked", "size"), [(16, None, 16), (16, 24, 24), (None, None, 32)]
)
def test_a_network_of_the_zoo_fits_the_data_set(own, asked, size):
    model = networks.start_model(
        _dataset(image_size=own),
        name="root_nin",
        root=(8, 2),
        topology="tree",
        image_size=asked,
    )
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, 7)
    groups = [model.get_layer(name).groups for name in ("conv2a", "conv3a")]
    assert groups == [8, 2]


def test_a_file_is_taken_as_it_is(tmp_path):
    keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Flatten()]).save(
        tmp_path / "net.keras"
    )
    model = networks.start_model(_dataset(), str(tmp_path / "net.keras"))
    assert model.input_shape == (None, 9, 9, 3)


def test_a_released_whole_network_has_its_own_size():
    dataset = dataclasses.replace(_dataset(classes=10), image_size=32)
    weights = "cifar10-force-l2-decomposed"
    model = networks.start_model(dataset, name="root_resnet20", weights=weights)
    assert model.input_shape == (None, 32, 32, 3)
    with pytest.raises(ValueError, match="classes.*should be 10"):
        networks.start_model(_dataset(), name="root_resnet20", weights=weights)
    with pytest.raises(ValueError, match="whole network"):
        networks.start_model(
            dataset, name="root_resnet20", weights=weights, image_size=32
        )


def test_keras_applications_start_with_their_imagenet_weights(monkeypatch):
    asked = []
    monkeypatch.setattr(applications, "start", lambda *given: asked.append(given))
    dataset = _dataset()
    networks.start_model(dataset, "keras.applications.VGG16", image_size=48)
    assert asked == [("keras.applications.VGG16", dataset, 48)]
