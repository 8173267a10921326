"""Configurations without defaults: the same objects, nothing that is new in Keras."""

import functools
import json

import keras
import lowest_keras
import numpy as np
import pytest
from helpers import between
from keras import layers

import keras_roots
from keras_roots.utils.configuration import without_defaults

LOWEST = json.loads(lowest_keras.TABLE.read_text())


@keras.saving.register_keras_serializable(package="test_configuration")
class Gain(layers.Layer):
    """A layer of a user's, one of whose arguments is not among Keras's."""

    def __init__(self, gain, offset=0, flag=True, **kwargs):
        super().__init__(**kwargs)
        self.gain, self.offset, self.flag = gain, offset, flag

    def call(self, inputs):
        return inputs * self.gain + self.offset

    def get_config(self):
        own = {"gain": self.gain, "offset": self.offset, "flag": self.flag}
        return super().get_config() | own


NETWORKS = {
    "initialisers": lambda: between(
        reader=layers.Conv2D(4, 1, kernel_initializer="he_normal", name="b")
    ),
    "dense": lambda: between(layers.Flatten(), reader=layers.Dense(3, name="b")),
    "groups": lambda: between(keras_roots.layers.GroupedConv2D(4, 3, groups=2)),
    "regularizers": lambda: between(
        kernel_regularizer=keras_roots.ForceRegularizer(1e-3),
        kernel_constraint=keras_roots.layers.FixedZeros(np.ones((3, 3, 3, 6))),
    ),
    "nested": lambda: keras.Sequential(
        [keras.Input((8, 8, 3)), between(), layers.Flatten()]
    ),
    "wrapped": lambda: between(
        layers.Reshape((6, 36)),
        layers.Bidirectional(layers.GRU(2, return_sequences=True)),
        reader=layers.TimeDistributed(layers.Dense(2), name="b"),
    ),
    "images": lambda: between(
        layers.Normalization(),
        layers.RandomFlip(seed=3),
        layers.RandomRotation(0.1),
        layers.PReLU(),
        layers.Resizing(4, 4),
        reader=layers.Conv2DTranspose(2, 3, strides=2, name="b"),
    ),
    "own": lambda: between(Gain(2.0, offset=0.0, flag=1)),
    "RootNiN": lambda: keras_roots.RootNiN(root=8),
    "RootResNet20": lambda: keras_roots.RootResNet20(root=8),
    "EfficientNetV2B0": lambda: keras.applications.EfficientNetV2B0(weights=None),
    "MobileNetV3Small": lambda: keras.applications.MobileNetV3Small(weights=None),
    "ConvNeXtTiny": lambda: keras.applications.ConvNeXtTiny(weights=None),
}


@functools.cache
def _serialised(name):
    """A network and its whole configuration."""
    model = NETWORKS[name]()
    return model, keras.saving.serialize_keras_object(model)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_the_same_without_defaults(name):
    model, whole = _serialised(name)
    before = json.dumps(whole)
    stripped = json.loads(json.dumps(without_defaults(whole)))
    assert json.dumps(whole) == before
    assert len(json.dumps(stripped)) < len(before)
    again = keras.saving.deserialize_keras_object(stripped)
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_lowest_keras_knows_what_is_left(name):
    stripped = without_defaults(_serialised(name)[1])
    assert not lowest_keras.unknown(json.loads(json.dumps(stripped)), LOWEST)


def test_what_the_lowest_keras_does_not_know_is_found():
    layer = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"units": 3, "new": {**LOWER_INITIALISER, "config": {"axes": 1}}},
        "registered_name": None,
    }
    assert lowest_keras.unknown([layer], LOWEST) == ["HeNormal(axes)", "Dense(new)"]
    own = {
        "module": "keras_roots.layers",
        "class_name": "GroupedConv2D",
        "config": {"filters": 2, "lowering": "split", "new": 1},
        "registered_name": "keras_roots>GroupedConv2D",
    }
    assert lowest_keras.unknown(own, LOWEST) == ["Conv2D(new)"]


LOWER_INITIALISER = {
    "module": "keras.initializers",
    "class_name": "HeNormal",
    "registered_name": None,
}


def test_values_are_compared_with_their_types():
    layer = Gain(0, offset=0, flag=1, name="it")
    found = without_defaults(keras.saving.serialize_keras_object(layer))["config"]
    assert found["gain"] == 0 and found["flag"] == 1 and found["name"] == "it"
    assert "offset" not in found and "trainable" not in found


def test_unknown_classes_stay_as_they_are():
    unknown = {"module": "nowhere", "class_name": "Gone", "config": {"name": None}}
    assert without_defaults(unknown) == unknown


@pytest.mark.skipif(
    keras.version() != LOWEST["version"], reason="the table is of the lowest version"
)
def test_the_table_is_that_of_the_lowest_keras():
    assert lowest_keras.arguments() | {"version": keras.version()} == LOWEST
