"""The counterpart in tf_keras of each layer of Keras 3."""

import inspect
import re
import sys

import keras
import numpy as np
import tf_keras

from keras_roots import graph, layers
from keras_roots.tf_keras_twin import tf_keras_layers

_SAME_NAME = (
    "Activation",
    "Add",
    "Average",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Conv2DTranspose",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "ELU",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Identity",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "Softmax",
    "SpatialDropout2D",
    "Subtract",
    "UpSampling2D",
    "ZeroPadding2D",
)


def _layer_scale() -> type:
    """Returns ConvNeXt's layer of a factor per channel, which has no public name."""
    return sys.modules[keras.applications.ConvNeXtTiny.__module__].LayerScale


# Exactly these types: a subclass may compute something else.
TARGETS = {
    **{getattr(keras.layers, x): getattr(tf_keras.layers, x) for x in _SAME_NAME},
    layers.BatchNormalization: tf_keras.layers.BatchNormalization,
    layers.GroupedConv2D: tf_keras_layers.GroupedConv2D,
    layers.LocalResponseNormalization: tf_keras_layers.WeightlessLayer,
    _layer_scale(): tf_keras_layers.LayerScale,
}

# Functions that mean the same in both, by their names in tf_keras, and ours there.
ACTIVATIONS = {
    keras.activations.elu: "elu",
    keras.activations.exponential: "exponential",
    keras.activations.gelu: "gelu",
    keras.activations.hard_sigmoid: tf_keras_layers.hard_sigmoid,
    keras.activations.hard_silu: tf_keras_layers.hard_silu,
    keras.activations.linear: "linear",
    keras.activations.mish: "mish",
    keras.activations.relu: "relu",
    keras.activations.relu6: "relu6",
    keras.activations.selu: "selu",
    keras.activations.sigmoid: "sigmoid",
    keras.activations.silu: "swish",
    keras.activations.softmax: "softmax",
    keras.activations.softplus: "softplus",
    keras.activations.softsign: "softsign",
    keras.activations.tanh: "tanh",
}

_RENAMED = {(keras.layers.LeakyReLU, "negative_slope"): "alpha"}

# Weights are carried over, random numbers differ anyway, arithmetic is in float32.
_DROPPED = re.compile("name|trainable|dtype|seed|.*_initializer")

# What TensorFlow accepts as a name of a scope.
_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


def translate(name: str, layer, **changed) -> tf_keras.layers.Layer:
    """Returns a new layer of tf_keras that computes what a layer of Keras 3 does.

    Args:
        name: Name of the new layer.
        layer: A layer of Keras 3, of a type in `TARGETS`.
        **changed: Arguments of the new layer that differ from the layer's.

    Raises:
        ValueError: The layer has no counterpart.
    """
    if not isinstance(layer, keras.Layer):
        raise _error(name, layer, "keras.ops, not with a layer")
    target = TARGETS.get(type(layer))
    if target is None and not layer.variables:
        target = tf_keras_layers.WeightlessLayer
    if target is None:
        supported = ", ".join(sorted({kind.__name__ for kind in TARGETS}))
        raise _error(
            name,
            layer,
            f"a type that has weights and no counterpart in tf_keras. Supported are "
            f"{supported}, and layers without weights",
        )
    if not _NAME.fullmatch(name):
        raise _error(
            name, layer, "a name that is none in TensorFlow: letters, digits, _.-"
        )
    common = {"name": name, "trainable": layer.trainable}
    if target is tf_keras_layers.WeightlessLayer:
        copy = graph.copy_of(layer, dtype="float32")
        return target(copy, **common)
    if getattr(layer, "groups", 1) > 1:
        target = tf_keras_layers.GroupedConv2D
    return target(**common, **{**_arguments(name, layer, target), **changed})


def trained_weights(layer: keras.Layer) -> list[np.ndarray]:
    """Returns the weights of a layer that its counterpart has as weights too."""
    constant = isinstance(layer, keras.layers.Normalization)
    return [] if constant else layer.get_weights()


def _arguments(name, layer, target) -> dict:
    if getattr(layer, "data_format", None) == "channels_first":
        raise _error(name, layer, "data_format='channels_first', which no CPU computes")
    if getattr(layer, "activity_regularizer", None) is not None:
        raise _error(name, layer, "an activity regularizer, which tf_keras scales")
    accepted = _accepted(target)
    defaults = inspect.signature(type(layer)).parameters
    arguments = {}
    for key, value in layer.get_config().items():
        key_there = _RENAMED.get((type(layer), key), key)
        if _DROPPED.fullmatch(key) or key == "activity_regularizer":
            continue
        if key == "rms_scaling" and not value:  # has no default in the constructor
            continue
        if key_there in accepted:
            arguments[key_there] = _value(name, layer, key, value)
        elif key != "lowering" and (
            key not in defaults or value != defaults[key].default
        ):
            raise _error(name, layer, f"{key}={value!r}, unknown to tf_keras")
    return arguments


def _accepted(target) -> set[str]:
    """Returns the names of a layer's arguments, also where ours extends another."""
    names = set(inspect.signature(target).parameters)
    if target.__module__ == tf_keras_layers.__name__:
        names |= _accepted(target.__base__)
    return names


def _value(name, layer, key, value):
    """Returns an argument for tf_keras, made from an entry of a configuration."""
    if key.endswith("_regularizer") and value is not None:
        return tf_keras_layers.Regularizer(getattr(layer, key))
    if key.endswith("_constraint") and value is not None:
        return tf_keras_layers.Constraint(getattr(layer, key))
    if key == "activation":
        if layer.activation not in ACTIVATIONS:
            raise _error(
                name,
                layer,
                f"activation={value!r}. Supported are "
                + ", ".join(sorted(function.__name__ for function in ACTIVATIONS)),
            )
        return ACTIVATIONS[layer.activation]
    if key in ("mean", "variance") and isinstance(layer, keras.layers.Normalization):
        # Its own are constants, or adapted to data; of the shape to multiply with.
        return np.reshape(getattr(layer, key), layer._mean_and_var_shape).tolist()
    if key in ("scale", "offset") and isinstance(layer, keras.layers.Rescaling):
        return getattr(layer, key)
    return value


def _error(name, layer, why) -> ValueError:
    return ValueError(
        f"`model` cannot have a twin in tf_keras. Received: {name!r} of type "
        f"{type(layer).__name__} with {why}"
    )
