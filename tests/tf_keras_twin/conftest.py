"""Small models with weights that all count, and images for them."""

import importlib.util

import keras
import numpy as np
import pytest

from keras_roots.tf_keras_twin import require_tfmot

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


@pytest.fixture(scope="session")
def check_equal():
    """Function that compares the outputs of a twin with those of its model."""

    def check(twin, model, inputs, atol=1e-5):
        expected = keras.tree.flatten(model(inputs, training=False))
        found = keras.tree.flatten(twin(inputs, training=False))
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert np.ptp(theirs) > 1e-3
            np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=atol)

    return check


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


@pytest.fixture(scope="session")
def fit():
    """Function that trains a twin for one epoch of two batches."""
    import tf_keras

    def train(model, inputs, rate=0.01, **kwargs):
        sgd = tf_keras.optimizers.SGD(rate)
        model.compile(sgd, "sparse_categorical_crossentropy", **kwargs)
        labels = np.arange(len(inputs)) % model.output_shape[-1]
        model.fit(inputs, labels, len(inputs) // 2, verbose=0)

    return train


@pytest.fixture(scope="session")
def rounded():
    """Function of a twin to the names of the layers whose output is rounded."""
    require_tfmot()
    from keras_roots.tf_keras_twin.wrappers import QuantizedLayer

    def names(model):
        return [
            layer.layer.name
            for layer in model.layers
            if isinstance(layer, QuantizedLayer) and layer.quantize_config.output
        ]

    return names
