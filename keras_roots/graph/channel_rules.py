"""How channels pass each class of layer.

One rule for each class. It tells which spaces make up the channels of the output, notes
the weights along them, and tells which constant a channel of constants becomes. Axes
are counted from the last one, -1, as broadcasting aligns them.
"""

import math

import keras
import numpy as np

from keras_roots.graph.signals import Known, read, rule
from keras_roots.layers import (
    BatchNormalization,
    GroupedConv2D,
    LocalResponseNormalization,
)

# Convolutions whose filters can be removed.
CONVOLUTIONS = (keras.layers.Conv2D, GroupedConv2D)

# Activations that treat every number by itself, whatever its channel.
ELEMENTWISE = {
    getattr(keras.activations, name)
    for name in (
        "linear relu relu6 leaky_relu elu selu celu gelu silu mish softplus softsign "
        "tanh sigmoid hard_sigmoid hard_silu hard_tanh exponential log_sigmoid"
    ).split()
    if hasattr(keras.activations, name)  # some are newer than Keras 3.12
}


def _axis(layer) -> int:
    return -1 if layer.data_format == "channels_last" else -3


def _apply(function, constants) -> np.ndarray:
    outputs = function(keras.ops.convert_to_tensor(constants.astype("float32")))
    return keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float64"))


def _numbers(weight) -> np.ndarray:
    return keras.ops.convert_to_numpy(weight).astype("float64")


def _keep_padded(spaces, layer, channels, constants) -> None:
    reason = f"{layer.name} pads it, which is not 0, with zeros"
    spaces.keep(channels, reason, where=constants != 0)


def _pads(layer) -> bool:
    return layer.padding == "same" and max(layer.kernel_size) > 1


# Layers with filters or units.

# For each weight by name, the side whose channels are along an axis.
_KERNEL = {"kernel": {-2: "input", -1: "output"}, "bias": {-1: "output"}}
_WEIGHTS = {
    **dict.fromkeys((*CONVOLUTIONS, keras.layers.Dense), _KERNEL),
    keras.layers.Conv2DTranspose: {
        "kernel": {-2: "output", -1: "input"},
        "bias": {-1: "output"},
    },
    keras.layers.SeparableConv2D: {
        "depthwise_kernel": {-2: "input"},
        "pointwise_kernel": {-2: "input", -1: "output"},
        "bias": {-1: "output"},
    },
}


@rule(*CONVOLUTIONS)
def _convolution(spaces, layer, signal, output):
    own = spaces.add_filters(layer.filters)
    channels, constants = _track(spaces, layer, signal, _axis(layer), own)
    if layer.groups > 1:
        reason = f"{layer.name} has filter groups"
        spaces.fix(channels, reason)
        spaces.pin([own], reason)
    elif _pads(layer):
        _keep_padded(spaces, layer, channels, constants)
    made = _numbers(layer.bias) if layer.use_bias else np.zeros(layer.filters)
    if layer.activation in ELEMENTWISE:
        made = _apply(layer.activation, made)
    else:
        spaces.keep([own], f"the activation of {layer.name} needs it")
    return Known(_axis(layer), (own,), made)


@rule(keras.layers.Dense)
def _dense(spaces, layer, signal, output):
    own = spaces.add(layer.units)
    _track(spaces, layer, signal, -1, own)
    return Known(-1, (own,), np.zeros(layer.units))


@rule(keras.layers.Conv2DTranspose, keras.layers.SeparableConv2D)
def _other_convolution(spaces, layer, signal, output):
    own = spaces.add(layer.filters)
    channels, _ = _track(spaces, layer, signal, _axis(layer), own)
    if getattr(layer, "depth_multiplier", 1) > 1:
        spaces.pin(channels, f"{layer.name} makes several channels of each")
    return Known(_axis(layer), (own,))


def _track(spaces, layer, signal, axis, own):
    """Notes the weights of a layer; returns what `read` does."""
    channels, constants = read(spaces, signal, axis, layer.name)
    sides = {"input": channels, "output": (own,)}
    weights = {
        name: {index: sides[side] for index, side in axes.items()}
        for name, axes in _WEIGHTS[type(layer)].items()
    }
    spaces.track(layer, channels, constants, weights, own)
    if layer.activation not in ELEMENTWISE:
        spaces.pin([own], f"the activation of {layer.name} may need its order")
    return channels, constants


# Layers with weights for the channels of their input.


@rule(keras.layers.DepthwiseConv2D)
def _depthwise(spaces, layer, signal, output):
    if layer.activation not in ELEMENTWISE:
        return None
    axis, times = _axis(layer), layer.depth_multiplier
    channels, constants = read(spaces, signal, axis, layer.name)
    made = channels
    if times > 1:
        reason = f"{layer.name} makes several channels of each"
        index = np.arange(len(constants)).repeat(times)
        made = (spaces.add_copies(channels, index, reason),)
    weights = {"kernel": {-2: channels}, "bias": {-1: made}}
    spaces.track(layer, channels, constants, weights)
    if _pads(layer):
        _keep_padded(spaces, layer, channels, constants)
    sums = (_numbers(layer.kernel).sum(axis=(0, 1)) * constants[:, None]).ravel()
    if layer.use_bias:
        sums = sums + _numbers(layer.bias)
    return Known(axis, made, _apply(layer.activation, sums))


@rule(keras.layers.BatchNormalization, BatchNormalization)
def _batch_norm(spaces, layer, signal, output):
    rank = len(output.shape)
    axis = layer.axis % rank - rank
    channels, constants = read(spaces, signal, axis, layer.name)
    weights = {weight.name: {-1: channels} for weight in layer.weights}
    spaces.track(layer, channels, constants, weights)
    if getattr(layer, "renorm", False):  # not in every Keras 3
        return Known(axis, channels)
    deviation = np.sqrt(_numbers(layer.moving_variance) + layer.epsilon)
    constants = (constants - _numbers(layer.moving_mean)) / deviation
    if layer.scale:
        constants = constants * _numbers(layer.gamma)
    if layer.center:
        constants = constants + _numbers(layer.beta)
    return Known(axis, channels, constants)


@rule(keras.layers.PReLU)
def _prelu(spaces, layer, signal, output):
    if signal.axis is None:
        return None
    shared = layer.alpha.shape[signal.axis] < output.shape[signal.axis]
    axes = {} if shared else {signal.axis: signal.channels}
    spaces.track(layer, signal.channels, signal.constants, {"alpha": axes})
    return Known(signal.axis, signal.channels)


# Layers without weights.


@rule(
    keras.layers.Identity,
    keras.layers.ActivityRegularization,
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)
def _unchanged(spaces, layer, signal, output):
    if signal.axis is None:
        return None
    return Known(signal.axis, signal.channels, signal.constants)


@rule(
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
)
def _activation(spaces, layer, signal, output):
    function = getattr(layer, "activation", layer)
    if signal.axis is None or not (function is layer or function in ELEMENTWISE):
        return None
    return Known(signal.axis, signal.channels, _apply(function, signal.constants))


@rule(keras.layers.Rescaling)
def _rescaling(spaces, layer, signal, output):
    if signal.axis is None or np.size(layer.scale) > 1 or np.size(layer.offset) > 1:
        return None
    constants = signal.constants * np.ravel(layer.scale) + np.ravel(layer.offset)
    return Known(signal.axis, signal.channels, constants)


@rule(
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Cropping2D,
    keras.layers.UpSampling2D,
)
def _by_channel(spaces, layer, signal, output):
    axis = _axis(layer)
    if signal.axis != axis:
        return None
    axis = axis if len(output.shape) == 4 else -1
    return Known(axis, signal.channels, signal.constants)


@rule(keras.layers.ZeroPadding2D)
def _with_zeros_around(spaces, layer, signal, output):
    known = _by_channel(spaces, layer, signal, output)
    if known:
        _keep_padded(spaces, layer, known.channels, known.constants)
    return known


@rule(LocalResponseNormalization)
def _local_response(spaces, layer, signal, output):
    if layer.region != "within_channel":
        return None
    return _with_zeros_around(spaces, layer, signal, output)


@rule(keras.layers.Flatten)
def _flatten(spaces, layer, signal, output):
    shape, axis = signal.spec.shape[1:], signal.axis
    if axis is None or None in shape:
        return None
    sides = [1] * len(shape)
    sides[axis] = shape[axis]
    index = np.broadcast_to(np.arange(shape[axis]).reshape(sides), shape)
    if layer.data_format == "channels_first" and len(shape) > 1:
        index = np.moveaxis(index, 0, -1)  # as the layer does
    index = index.ravel()
    repeats = index.size // shape[axis]
    channels = signal.channels * repeats
    if not np.array_equal(index, np.tile(np.arange(shape[axis]), repeats)):
        reason = f"{layer.name} (Flatten) may need its order"
        channels = (spaces.add_copies(signal.channels, index, reason),)
    return Known(-1, channels, signal.constants[index])


@rule(keras.layers.Reshape)
def _reshape(spaces, layer, signal, output):
    """Finds the axis that goes through all channels at a position, or at several."""
    if signal.axis is None:
        return None
    size, *inner = signal.spec.shape[signal.axis :]
    for axis in range(-1, -len(output.shape), -1):
        length, *after = output.shape[axis:]
        if None in (length, *after, *inner):
            return None
        if math.prod(after) == math.prod(inner) and length % size == 0:
            # Its filters are kept: the layer has their number in its configuration.
            return Known(axis, signal.channels * (length // size))
    return None
