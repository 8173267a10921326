"""Every layer that a twin may have, against the layer of Keras 3."""

import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_roots
from keras_roots.tf_keras_twin.conversion import from_tf_keras, to_tf_keras

SHAPE = (6, 5, 4)

LayerScale = sys.modules[keras.applications.ConvNeXtTiny.__module__].LayerScale


@keras.saving.register_keras_serializable(package="test_translation")
class Gain(layers.Layer):
    """A layer of a user's without weights, that is told whether it trains."""

    def call(self, inputs, training=None):
        return inputs * (0.0 if training else 3.0)


# All arguments differ from their defaults.
CASES = {
    "Activation": [
        layers.Activation("tanh"),
        layers.Activation("hard_silu"),
        layers.Activation("hard_sigmoid"),
    ],
    "Add": [layers.Add()],
    "Average": [layers.Average()],
    "AveragePooling2D": [layers.AveragePooling2D(3, (2, 1), padding="same")],
    "BatchNormalization": [
        layers.BatchNormalization(epsilon=0.1),
        layers.BatchNormalization(axis=2, scale=False, center=False),
        keras_roots.layers.BatchNormalization(epsilon=0.1, scale=False),
    ],
    "Concatenate": [layers.Concatenate(axis=1)],
    "Conv2D": [
        layers.Conv2D(6, (3, 2), (2, 1), "same", activation="relu", use_bias=False),
        layers.Conv2D(6, 3, dilation_rate=(2, 1)),
        layers.Conv2D(6, 3, groups=2, activation="tanh"),
        keras_roots.layers.GroupedConv2D(6, 1, activation="tanh"),
    ],
    "Conv2DTranspose": [
        layers.Conv2DTranspose(6, (3, 2), (2, 1), "same", activation="hard_silu"),
        layers.Conv2DTranspose(6, 3, dilation_rate=(2, 2), use_bias=False),
    ],
    "Cropping2D": [layers.Cropping2D(((1, 2), (0, 1)))],
    "Dense": [layers.Dense(3, activation="softmax", use_bias=False)],
    "DepthwiseConv2D": [
        layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2, activation="relu")
    ],
    "Dropout": [layers.Dropout(0.5, noise_shape=(None, 1, 1, 4), seed=3)],
    "ELU": [layers.ELU(0.3)],
    "Flatten": [layers.Flatten()],
    "GaussianDropout": [layers.GaussianDropout(0.5)],
    "GaussianNoise": [layers.GaussianNoise(0.5)],
    "GlobalAveragePooling2D": [layers.GlobalAveragePooling2D(keepdims=True)],
    "GlobalMaxPooling2D": [layers.GlobalMaxPooling2D()],
    "GroupedConv2D": [
        keras_roots.layers.GroupedConv2D(
            8, (3, 2), (1, 2), "same", groups=2, activation="relu"
        ),
        keras_roots.layers.GroupedConv2D(
            4, 3, groups=4, use_bias=False, lowering="split"
        ),
    ],
    "Identity": [layers.Identity()],
    "LayerNormalization": [
        layers.LayerNormalization(epsilon=0.1),
        layers.LayerNormalization(axis=(1, 2), center=False),
        layers.LayerNormalization(scale=False),
    ],
    "LayerScale": [LayerScale(0.5, 4)],
    "LeakyReLU": [layers.LeakyReLU(0.4)],
    "LocalResponseNormalization": [
        keras_roots.layers.LocalResponseNormalization(3, 0.5),
        keras_roots.layers.LocalResponseNormalization(3, 0.5, "within_channel"),
    ],
    "MaxPooling2D": [layers.MaxPooling2D(3, 2, padding="same")],
    "Maximum": [layers.Maximum()],
    "Minimum": [layers.Minimum()],
    "Multiply": [layers.Multiply()],
    "Normalization": [
        layers.Normalization(mean=[1, 2, 3, 4], variance=[0.5, 1, 2, 3]),
        layers.Normalization(
            axis=(1, 3), mean=np.ones((6, 4)), variance=np.full((6, 4), 0.5)
        ),
        layers.Normalization(axis=None, mean=1.0, variance=4.0, invert=True),
    ],
    "PReLU": [layers.PReLU(shared_axes=(1, 2))],
    "Permute": [layers.Permute((2, 3, 1))],
    "ReLU": [layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2)],
    "Rescaling": [layers.Rescaling(2.0, 1.0), layers.Rescaling([1, 2, 3, 4], [0.5])],
    "Reshape": [layers.Reshape((5, -1))],
    "SeparableConv2D": [
        layers.SeparableConv2D(6, 3, 2, "same", depth_multiplier=2, activation="relu"),
        layers.SeparableConv2D(6, (3, 2), dilation_rate=2, use_bias=False),
    ],
    "Softmax": [layers.Softmax(axis=1)],
    "SpatialDropout2D": [layers.SpatialDropout2D(0.5, seed=3)],
    "Subtract": [layers.Subtract()],
    "UpSampling2D": [
        layers.UpSampling2D((2, 3)),
        layers.UpSampling2D(2, interpolation="bilinear"),
    ],
    "ZeroPadding2D": [layers.ZeroPadding2D(((1, 2), (0, 1)))],
}
MERGING = (
    layers.Add,
    layers.Average,
    layers.Concatenate,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.Subtract,
)


def model_of(layer, shape=SHAPE):
    inputs = keras.Input(shape)
    if isinstance(layer, MERGING):
        return keras.Model(inputs, layer([inputs, layers.ReLU()(inputs)]))
    return keras.Model(inputs, layer(inputs))


def test_every_layer_has_a_case():
    from keras_roots.tf_keras_twin.translation import TARGETS

    cases = {type(layer) for case in CASES.values() for layer in case}
    assert set(TARGETS) == cases
    assert {kind.__name__ for kind in cases} == set(CASES)


@pytest.mark.parametrize("kind", CASES)
def test_layers(kind, randomise, images):
    for case in CASES[kind]:
        model = randomise(model_of(case.__class__.from_config(case.get_config())))
        inputs = images(SHAPE)
        twin = to_tf_keras(model)
        expected = np.asarray(model(inputs, training=False))
        found = np.asarray(twin(inputs, training=False))
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert twin.layers[-1].name == model.layers[-1].name


def test_activations():
    import tf_keras

    from keras_roots.tf_keras_twin.translation import ACTIVATIONS

    x = keras.ops.convert_to_tensor(np.linspace(-8, 8, 99, dtype="float32")[None])
    for function, name in ACTIVATIONS.items():
        found = np.asarray(tf_keras.activations.get(name)(x))
        np.testing.assert_allclose(found, np.asarray(function(x)), rtol=1e-5, atol=1e-6)


class OwnConv2D(layers.Conv2D):
    """What it computes cannot be known."""


def _quantized(layer):
    layer.build((None, *SHAPE))
    layer.quantize("int8")
    return layer


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: layers.GroupNormalization(2, name="it"), "GroupNormal.*Supported"),
        (lambda: layers.RMSNormalization(name="it"), "RMSNormalization.*has weights"),
        (lambda: OwnConv2D(2, 1, name="it"), "OwnConv2D"),
        (lambda: layers.Conv2D(2, 1, activation="celu", name="it"), "celu.*Supported"),
        (lambda: layers.Activation("log_softmax", name="it"), "log_softmax"),
        (lambda: layers.RandomFlip(seed=3, name="it"), "RandomFlip"),
        (lambda: layers.BatchNormalization(renorm=True, name="it"), "renorm=True"),
        (
            lambda: layers.MaxPooling2D(2, data_format="channels_first", name="it"),
            "channels_first",
        ),
        (
            lambda: layers.Conv2D(2, 1, activity_regularizer="l2", name="it"),
            "activity regularizer",
        ),
        (lambda: _quantized(layers.Dense(2, name="it")), "Dense"),
        (lambda: layers.ReLU(name="it it"), "ReLU.*name"),
    ],
)
def test_unsupported_layers_are_named(make, names):
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, make()(inputs))
    with pytest.raises(ValueError, match=f"Received: 'it.*{names}"):
        to_tf_keras(model)


def test_layers_without_weights_are_called(images):
    model = model_of(Gain(name="gain"))
    twin = to_tf_keras(model)
    np.testing.assert_allclose(twin(images(SHAPE)), 3 * images(SHAPE), rtol=1e-6)
    assert not np.any(twin(images(SHAPE), training=True))


@pytest.mark.parametrize("axis", [-1, (1, 3), None])
@pytest.mark.parametrize("invert", [False, True])
def test_normalisation_that_was_adapted(axis, invert, images):
    """Its statistics are not trained, and come back as they were."""
    layer = layers.Normalization(axis=axis, invert=invert, name="it")
    layer.adapt(5 * images(SHAPE, 30) + 2)
    model = keras.Sequential([keras.Input(SHAPE), layer, layers.Dense(2)])
    twin = to_tf_keras(model)
    found, expected = twin(images(SHAPE)), model(images(SHAPE))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    again = from_tf_keras(twin, model)
    np.testing.assert_array_equal(again(images(SHAPE)), expected)


def test_functions_are_named():
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, keras.ops.exp(inputs))
    with pytest.raises(ValueError, match="'exp.*' of type Exp with keras.ops"):
        to_tf_keras(model)


def test_a_lambda_is_translated_with_its_function():
    model = keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: 3 * x)])
    twin = to_tf_keras(model)
    np.testing.assert_array_equal(twin(np.ones((2, 3), "float32")), np.full((2, 3), 3))
