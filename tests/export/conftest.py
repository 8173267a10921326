import functools
import os

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.export.litert import export_tflite
from keras_roots.layers.grouped_conv2d import GroupedConv2D


def make_network(groups=4, size=8, normalization=True, classes=5, activation="softmax"):
    """A grouped convolution with BatchNorm between two ordinary ones."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            *(
                [layers.Rescaling(1 / 127.5, -1.0, name="normalization")]
                if normalization
                else []
            ),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="stem"),
            GroupedConv2D(32, 3, groups=groups, padding="same", name="grouped"),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(),
            layers.Conv2D(16, 1, name="mix"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes, name="scores"),
            layers.Activation(activation),
        ],
        name="network",
    )
    for layer in model.layers:
        if layer.name in ("grouped", "stem", "mix", "scores"):
            kernel, bias = layer.get_weights()
            layer.set_weights([1.5 * kernel, rng.normal(0, 0.1, bias.shape)])
    shape = model.get_layer("bn").gamma.shape
    model.get_layer("bn").set_weights([rng.uniform(0.5, 1.5, shape) for _ in range(4)])
    return model


def make_images(count=24, size=8, seed=0):
    """Smooth random pixels: brightness and colour differ from image to image."""
    rng = np.random.default_rng(seed)
    colour = rng.uniform(0, 255, (count, 1, 1, 3))
    noise = rng.normal(0, 30, (count, size, size, 3))
    return np.clip(colour + noise, 0, 255).astype("float32")


@pytest.fixture
def network():
    return make_network


@pytest.fixture
def images():
    return make_images


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Function of a quantisation: (path, report) of the network's file, made once."""

    @functools.cache
    def export(quantize):
        path = tmp_path_factory.mktemp("exported") / "net.tflite"
        report = export_tflite(
            make_network(), path, quantize, make_images(), check_data=make_images(9)
        )
        return path, report

    return export


@pytest.fixture
def occupied(tmp_path):
    """A file that failing exports must leave alone, and the check that they did."""
    path = tmp_path / "net"
    path.write_text("precious")
    yield path
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["net"]
