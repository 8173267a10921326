"""Small models with weights that all count, and images for them."""

import importlib.util

import keras
import numpy as np
import pytest

# They need the extra `optimize`.
collect_ignore_glob = (
    [] if importlib.util.find_spec("tensorflow_model_optimization") else ["test_*.py"]
)


@pytest.fixture(scope="session")
def randomise():
    """Function that gives every weight of a model a value of its own."""

    def change(model, seed=0):
        rng = np.random.default_rng(seed)
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                change(layer, seed + 1)
            elif isinstance(layer, keras.layers.BatchNormalization):
                *others, variance = layer.get_weights()
                layer.set_weights(
                    [rng.uniform(0.5, 1.5, w.shape) for w in (*others, variance)]
                )
            else:
                layer.set_weights(
                    [rng.normal(0, 0.3, w.shape) for w in layer.get_weights()]
                )
        return model

    return change


@pytest.fixture(scope="session")
def images():
    """Function `(shape, count)` that returns normal numbers."""

    def draw(shape, count=2, seed=0):
        size = (count, *shape)
        return np.random.default_rng(seed).normal(size=size).astype("float32")

    return draw


@pytest.fixture
def network(randomise):
    """A network with what the zoo's have: groups, BatchNorm, a shortcut, a head."""
    layers = keras.layers
    inputs = keras.Input((6, 6, 3), name="images")
    x = layers.Rescaling([0.5, 1.0, 2.0], [0.1, 0.0, -0.3], name="scale")(inputs)
    x = shortcut = layers.Conv2D(8, 3, padding="same", name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.Conv2D(8, 3, padding="same", groups=4, use_bias=False, name="grouped")(x)
    x = layers.BatchNormalization(name="grouped_bn")(x)
    x = layers.Add(name="add")([shortcut, x])
    x = layers.ReLU(name="out")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(3, activation="softmax", name="head")(x)
    return randomise(keras.Model(inputs, x, name="network"))
