"""Where a twin rounds, which is where its file does."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.export import LiteRTModel
from keras_roots.tf_keras_twin.quantization import export_int8, quantizable

SHAPE = (6, 6, 3)


def model_of(build, randomise):
    inputs = keras.Input(SHAPE, name="images")
    return randomise(keras.Model(inputs, build(inputs)))


def before_activation(x):
    """BatchNorm first, as in ResNet v2; depthwise; activations within convolutions."""
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(x)
    shortcut = x
    x = layers.BatchNormalization(name="first")(x)
    x = layers.ReLU(6.0, name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(name="second")(x)
    x = layers.Activation("relu", name="activation")(x)
    x = layers.Conv2D(6, 1, activation="tanh", name="within")(x)
    x = layers.Add(name="add")([shortcut, x])
    x = layers.MaxPooling2D(2, name="pool")(x)
    return layers.Flatten(name="flatten")(x)


def branches(x):
    """A concatenation of what is used once; of what is used twice."""
    one = layers.Conv2D(4, 1, name="one")(x)
    two = layers.Conv2D(4, 3, padding="same", name="two", use_bias=False)(x)
    two = layers.BatchNormalization(name="norm")(two)
    pooled = layers.AveragePooling2D(3, 1, padding="same", name="average")(two)
    x = layers.Concatenate(name="first")([one, two, pooled])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Conv2D(12, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply(name="scaled")([x, gate])
    x = layers.LeakyReLU(0.1, name="leaky")(x)
    return layers.GlobalMaxPooling2D(name="max")(x)


# Which outputs are rounded, by LiteRT's rules; operations of the file.
CASES = [
    (
        before_activation,
        "images_range conv relu activation within add",
        {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "TANH": 1, "ADD": 1}
        | {"MAX_POOL_2D": 1, "RESHAPE": 1},
    ),
    (
        branches,
        "images_range norm first squeeze gate scaled leaky",
        {"CONV_2D": 3, "AVERAGE_POOL_2D": 1, "CONCATENATION": 1, "MEAN": 1}
        | {"LOGISTIC": 1, "MUL": 1, "LEAKY_RELU": 1, "REDUCE_MAX": 1},
    ),
]


@pytest.mark.parametrize(("build", "names", "operations"), CASES)
def test_file_agrees(build, names, operations, randomise, images, tmp_path, rounded):
    model = model_of(build, randomise)
    data = images(SHAPE, 8)
    twin = quantizable(model, data)
    assert sorted(rounded(twin)) == sorted(names.split())
    report = export_int8(twin, tmp_path / "net.tflite", data)
    ends = {"QUANTIZE": 1, "DEQUANTIZE": 1}
    assert report.operations == {**operations, **ends}
    assert report.float_operations == {}
    assert report.relative_difference < 0.02
    exact = np.asarray(model(data, training=False))
    found = LiteRTModel(tmp_path / "net.tflite").predict(data)[0]
    assert 0 < np.abs(found - exact).max() < 0.1 * np.ptp(exact)


def test_factors_by_position_and_activations_that_are_none(images, tmp_path, rounded):
    """Rewritten average pools have such factors; models that give logits the others."""
    factors = np.random.default_rng(0).uniform(1, 2, SHAPE).tolist()
    inputs = keras.Input(SHAPE, name="images")
    x = layers.Rescaling(factors, name="factors")(inputs)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, layers.Activation("linear", name="logits")(x))
    data = images(SHAPE, 8)
    twin = quantizable(model, data)
    assert sorted(rounded(twin)) == ["factors", "images_range", "pool"]
    report = export_int8(twin, tmp_path / "net.tflite", data)
    assert report.operations == {"DEQUANTIZE": 1, "MEAN": 1, "MUL": 1, "QUANTIZE": 1}
    assert report.relative_difference < 0.02


def test_calls_and_layers_in_common(randomise, images, tmp_path, rounded):
    """A BatchNorm of two convolutions, and a nested model that ends with one."""
    inner = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(4, 1, name="conv")], name="inner"
    )
    shared = layers.BatchNormalization(name="shared")

    def build(x):
        one = shared(inner(x))
        two = shared(layers.Conv2D(4, 3, padding="same", name="other")(x))
        return layers.Subtract(name="less")([one, two])

    data = images(SHAPE, 4)
    twin = quantizable(model_of(build, randomise), data)
    assert sorted(rounded(twin)) == [
        "images_range",
        "inner/conv",
        "less",
        "other",
        "shared",
    ]
    report = export_int8(twin, tmp_path / "net.tflite", data)
    assert report.relative_difference < 0.03
    assert report.operations["DEPTHWISE_CONV_2D"] == 2
