"""Copies of single layers, whole or refused."""

import functools

import keras
import numpy as np
import pytest
from helpers import conv, normal_images
from keras import layers

from keras_roots.graph import copies, surgery


def _scaled(x, factor):
    return x * factor


def test_a_copied_lambda_keeps_its_name_and_settings():
    offset = 2.0
    lambdas = [
        layers.Lambda(lambda x: keras.ops.abs(x) + offset, name="own"),
        layers.Lambda(_scaled, arguments={"factor": 3.0}),
        layers.Lambda(lambda x: x[..., :2], output_shape=lambda s: (*s[:-1], 2)),
    ]
    x = images = normal_images(2)
    for layer in lambdas:
        copy = copies.copy_of(layer)
        assert copy is not layer and copy.name == layer.name
        assert copy.arguments == layer.arguments
        assert copy.compute_dtype == "float32"
        np.testing.assert_array_equal(copy(x), layer(x))
        shape = (None, *images.shape[1:])
        assert copy.compute_output_shape(shape) == layer.compute_output_shape(shape)


def _twice(x):
    return 2 * x


class _Slope:
    """An activation that Keras has no name for."""

    def __call__(self, x):
        return keras.ops.leaky_relu(x, 0.3)


class _Largest(keras.regularizers.Regularizer):
    def __call__(self, x):
        return keras.ops.max(x)

    def get_config(self):
        return {}


class _Clipped(keras.constraints.Constraint):
    def __call__(self, w):
        return keras.ops.clip(w, -1, 1)


class _Halves(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.full(shape, 0.5, dtype)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize(
    "own",
    [
        {"activation": lambda x: 3 * x},
        {"activation": _twice},
        {"activation": functools.partial(_scaled, factor=3.0)},
        {"activation": _Slope()},
        {"kernel_regularizer": _Largest()},
        {"kernel_constraint": _Clipped()},
        {"kernel_initializer": _Halves()},
    ],
    ids=[
        "lambda",
        "function",
        "partial",
        "object",
        "regularizer",
        "constraint",
        "initializer",
    ],
)
def test_what_keras_does_not_find_by_name_is_copied(own):
    model = keras.Sequential([keras.Input((8, 8, 3)), conv(4, 3, **own)])
    images = normal_images(2)
    ((name, part),) = own.items()
    for copy in (
        surgery.rewrite(model, lambda layer: None),
        surgery.reconfigure(model, lambda layer: {"name": "other"}),
    ):
        assert getattr(copy.layers[-1], name) is part
        np.testing.assert_array_equal(
            copy.predict(images, verbose=0),
            model.predict(images, verbose=0),
        )
        assert [float(x) for x in copy.losses] == [float(x) for x in model.losses]


def test_what_keras_finds_by_name_is_made_anew():
    regularizer = keras.regularizers.L2(0.1)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), conv(4, 3, kernel_regularizer=regularizer)]
    )
    copied = surgery.rewrite(model, lambda layer: None).layers[-1].kernel_regularizer
    assert copied is not regularizer
    assert float(copied.l2) == pytest.approx(0.1)


class _Forgetful(layers.Conv2D):
    """A convolution whose configuration leaves out an argument."""

    def __init__(self, filters, kernel_size, factor=1.0, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.factor = factor

    def call(self, inputs):
        return self.factor * super().call(inputs)


class _Whole(_Forgetful):
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize("kind", [_Forgetful, _Whole])
def test_layers_that_would_forget_an_argument_are_refused(kind, factor):
    layer = kind(4, 3, factor=factor, name="own")
    model = keras.Sequential([keras.Input((6, 6, 3)), layer])
    if kind is _Forgetful and factor != 1.0:
        message = "'own', a _Forgetful.* its get_config leaves out factor"
        with pytest.raises(ValueError, match=message):
            surgery.rewrite(model, lambda layer: None)
        return
    copy = surgery.rewrite(model, lambda layer: None)
    images = np.random.default_rng(1).normal(size=(2, 6, 6, 3))
    np.testing.assert_allclose(copy(images), model(images), rtol=1e-5)


def test_lora_is_merged_in_the_kernel():
    layer = layers.Conv2D(4, 3, activation=layers.PReLU())
    model = keras.Sequential([keras.Input((6, 6, 3)), layer])
    images = np.random.default_rng(1).normal(size=(2, 6, 6, 3))
    model(images)  # builds the activation
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.random.default_rng(0).normal(size=(2, 4)))
    config, weights = copies.merged(layer)
    assert [w.shape for w in weights] == [(3, 3, 3, 4), (4,), (4, 4, 4)]
    new = surgery.Replacement([layers.Conv2D.from_config(config)], [weights])
    copy = surgery.rewrite(model, lambda each: new if each is layer else None)
    assert not copy.layers[1].lora_enabled
    np.testing.assert_allclose(copy(images), model(images), rtol=1e-4, atol=1e-5)


def test_what_keras_cannot_serialize_within_a_layer_is_refused_by_name():
    recurrent = layers.GRU(2, activation=_Slope(), name="reader")
    model = keras.Sequential([keras.Input((4, 3)), recurrent])
    with pytest.raises(ValueError, match="Received: layer 'reader', a GRU, of which"):
        surgery.rewrite(model, lambda layer: None)
