"""Functions of keras.ops in a graph, against the graph that they are in."""

import keras
import numpy as np
import pytest
from helpers import assign_random, pixels
from keras import layers, ops

from keras_roots.tf_keras_twin.conversion import from_tf_keras, to_tf_keras

SHAPE = (6, 6, 3)
PER_CHANNEL = np.array([1.0, -2.0, 0.5], "float32")

FUNCTIONS = {
    "x + c": lambda x, y: x + 3.0,
    "c + x": lambda x, y: 3 + x,
    "x - c": lambda x, y: x - 0.5,
    "c - x": lambda x, y: 1.0 - x,
    "x * c": lambda x, y: x * (1 / 6),
    "c * x": lambda x, y: 2.0 * x,
    "x / c": lambda x, y: x / 3.0,
    "-x": lambda x, y: -x,
    "x + channels": lambda x, y: x + PER_CHANNEL,
    "channels - x": lambda x, y: ops.subtract(PER_CHANNEL, x),
    "x * channels": lambda x, y: ops.multiply(x, PER_CHANNEL),
    "named": lambda x, y: ops.add(x1=x, x2=2.0),
    "x + y": lambda x, y: x + y,
    "x - y": lambda x, y: ops.subtract(x, y),
    "x * y": lambda x, y: x * y,
    "maximum": lambda x, y: ops.maximum(x, y),
    "minimum": lambda x, y: ops.minimum(x, y),
    "broadcast": lambda x, y: x * layers.GlobalAveragePooling2D(keepdims=True)(y),
    "relu": lambda x, y: ops.relu(x),
    "activation": lambda x, y: keras.activations.relu(x, max_value=0.5),
    "sigmoid": lambda x, y: ops.sigmoid(x),
    "silu": lambda x, y: ops.silu(x),
    "tanh": lambda x, y: ops.tanh(x),
    "hard": lambda x, y: ops.hard_silu(x) + ops.hard_sigmoid(y),
    "MobileNetV3": lambda x, y: layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0) * x,
}
REFUSED = {
    "TrueDivide": lambda x, y: x / y,
    "Mean": lambda x, y: ops.mean(x, axis=-1),
    "Exp": lambda x, y: ops.exp(x),
    "Power": lambda x, y: x**2,
    "Add": lambda x, y: x + ops.ones((2, 6, 6, 3)),
}


def _model(function):
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(3, 3, padding="same", name="x")(inputs)
    y = layers.Conv2D(3, 3, padding="same", name="y")(inputs)
    outputs = layers.Conv2D(2, 1, name="out")(function(x, y))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_that_layers_compute(name, randomise, images, check_equal):
    model = randomise(_model(FUNCTIONS[name]))
    twin = to_tf_keras(model)
    check_equal(twin, model, images(SHAPE))
    check_equal(twin, from_tf_keras(twin, model), images(SHAPE))


@pytest.mark.parametrize("kind", REFUSED)
def test_others_are_refused_by_name(kind):
    inputs = keras.Input(SHAPE, batch_size=2)
    model = keras.Model(inputs, REFUSED[kind](inputs, layers.ReLU()(inputs)))
    with pytest.raises(ValueError, match=f"Received: .* of type {kind} with keras.ops"):
        to_tf_keras(model)


# The side of images, and the last layer, before the same ones are repeated.
APPLICATIONS = {
    "ConvNeXtTiny": (32, None),
    "EfficientNetB0": (32, None),
    "EfficientNetV2B0": (32, "block6b_add"),
    "InceptionResNetV2": (75, "block35_2_ac"),
    "MobileNetV3Small": (32, None),
    "NASNetMobile": (64, "normal_concat_5"),
    "Xception": (71, "block5_sepconv1_act"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_networks_of_keras_applications(name, check_equal):
    """Those with layers or functions that the zoo has not."""
    side, last = APPLICATIONS[name]
    model = getattr(keras.applications, name)(
        weights=None,
        input_shape=(side, side, 3),
        classes=5,
        classifier_activation=None,
    )
    if last:
        model = keras.Model(model.input, model.get_layer(last).output)
    assign_random(model)
    images = pixels(2, side)
    expected = np.abs(model(images, training=False)).max()
    check_equal(to_tf_keras(model), model, images, atol=1e-5 * float(expected))
