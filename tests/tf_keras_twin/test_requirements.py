"""Importing tf_keras beside Keras 3."""

import os
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_roots
from keras_roots.tf_keras_twin.conversion import to_tf_keras

SHAPE = (6, 6, 3)


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("tf_keras", "tf_keras.*keras_roots.optimize"),
        ("tensorflow_model_optimization", "tensorflow-model-opt.*keras_roots.optimize"),
    ],
)
def test_what_is_not_installed(package, message, network, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=message):
        keras_roots.tf_keras_twin.prunable(network, 0.5, end_step=1)


def test_other_backends(network, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="Received: the Keras backend 'jax'"):
        to_tf_keras(network)


def test_keras_stays_keras_3(network, images):
    """In a process that imported tf_keras and tensorflow-model-optimization."""
    keras_roots.tf_keras_twin.prunable(network, 0.5, end_step=1)
    assert "tensorflow_model_optimization" in sys.modules
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    for namespace in (tf, tf.compat.v1, tf.compat.v2):
        assert namespace.keras.layers.Conv2D is layers.Conv2D
    assert keras.layers.Conv2D.__module__.startswith("keras.src")
    before = network.get_layer("conv").get_weights()[0]
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.fit(images(SHAPE, 4), np.arange(4) % 3, verbose=0)
    assert not np.array_equal(network.get_layer("conv").get_weights()[0], before)


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "is_keras_3"), [(None, True), ("1", False)])
def test_in_a_process_of_its_own(setting, is_keras_3, run_python):
    """`tf.keras` is what it would be without a twin, and so in child processes."""
    run_python(
        f"""
import os, keras
os.environ.pop("TF_USE_LEGACY_KERAS", None)
setting = {setting!r}
if setting:
    os.environ["TF_USE_LEGACY_KERAS"] = setting
import keras_roots
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
sparse = keras_roots.tf_keras_twin.prunable(model, 0.5, end_step=1)
assert os.environ.get("TF_USE_LEGACY_KERAS") == setting
import tensorflow as tf
assert (tf.keras.layers.Dense is keras.layers.Dense) == {is_keras_3}
model.compile("adam", "mse")
model.fit(keras.ops.ones((2, 4)), keras.ops.ones((2, 2)), verbose=0)
model.save("model.keras")
copy = keras.models.load_model("model.keras")
assert (copy.get_weights()[0] == model.get_weights()[0]).all()
"""
    )
