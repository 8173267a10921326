"""Networks and convolutions for the tests of low-rank approximation."""

import helpers
import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import decompose


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).normal(size=(3, 12, 12, 6)).astype("float32")


@pytest.fixture(scope="session")
def conv():
    return helpers.conv


@pytest.fixture(scope="session")
def one_layer():
    return helpers.one_layer


@pytest.fixture(scope="session")
def kernel_of():
    return helpers.kernel_of


@pytest.fixture
def model(conv):
    """A dense, a grouped and a 1x1 convolution, as low in rank as random ones are."""
    inputs = keras.Input((12, 12, 6))
    x = conv(16, 3, name="dense", padding="same")(inputs)
    x = conv(24, (3, 5), groups=2, name="grouped", strides=(1, 2), padding="same")(x)
    x = conv(24, 1, name="pointwise", use_bias=False)(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x)))


@pytest.fixture
def decomposed(conv, kernel_of):
    """Function `(method="pca", groups=2)` that returns a decomposed network."""

    def make(method="pca", groups=2):
        """A convolution of rank 3 per group decomposed to more, and other layers."""
        inputs = keras.Input((12, 12, 6))
        x = conv(8, 3, name="first", padding="same")(inputs)
        layer = conv(16, 3, groups=groups, name="conv", strides=2, use_bias=False)
        x = layers.BatchNormalization()(layer(x))
        x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
        model = keras.Model(inputs, layers.Dense(3, name="head")(x))
        kernel = kernel_of([[3.0, 2.0, 1.0]] * groups, (3, 3, 8 // groups, 16))
        if method == "separable":
            kernel[:, 1:] = 0  # of one column: what remains is of rank 3 this way too
        if method == "kmeans":
            kernel = kernel[..., [0, 1, 2, 0, 1, 2, 0, 1, 8, 9, 10, 8, 9, 10, 8, 9]]
        layer.set_weights([kernel])
        return decompose(model, method=method, ranks={"conv": 6 * groups}, cost=None)

    return make


@pytest.fixture
def batch():
    """Eight images and three targets of each."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 12, 12, 6)).astype("float32")
    return images, rng.normal(size=(8, 3)).astype("float32")
