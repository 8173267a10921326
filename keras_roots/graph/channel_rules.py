"""What layers and operations make of the channels of their inputs.

Axes are counted from the last one, -1, as broadcasting aligns them.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np

from keras_roots.graph.elementwise import ELEMENTWISE
from keras_roots.layers import (
    BatchNormalization,
    GroupedConv2D,
    LocalResponseNormalization,
)


@dataclasses.dataclass(frozen=True)
class Signal:
    """What is known of a tensor.

    Attributes:
        spec: Its shape and dtype.
        axis: Axis of its channels, negative; `None` if it has none.
        channels: The spaces that make it up.
    """

    spec: keras.KerasTensor
    axis: int | None = None
    channels: tuple[int, ...] = ()


# Axis and spaces of the channels of an output; `None` where they are not known.
Known = tuple[int, tuple[int, ...]] | None


def follow(
    spaces, operation: keras.Operation, signals: Sequence[Signal], operands, output
) -> Known:
    """Follows the channels through an operation.

    Args:
        spaces: The `Spaces` so far, which take up what the operation asks for.
        operation: A layer or an operation of `keras.ops`.
        signals: The tensors that it is called on.
        operands: All that it is called on, with constants.
        output: Specification of its output.
    """
    kind = type(operation)
    if kind in _LAYERS and len(signals) == 1:
        return _LAYERS[kind](spaces, operation, signals[0], output)
    if kind in _MERGING_LAYERS:
        return _MERGING_LAYERS[kind](spaces, operation, operands, output)
    # Classes of operations have no public names.
    if not isinstance(operation, keras.Layer) and kind.__module__.startswith("keras."):
        step = _OPERATIONS.get(kind.__name__)
        return step and step(spaces, operation, operands, output)
    return None


def _is_signal(value) -> bool:
    return isinstance(value, Signal)


def _axis(layer) -> int:
    return -1 if layer.data_format == "channels_last" else -3


def _read(spaces, signal, axis, name) -> tuple[int, ...]:
    """Returns the spaces along an axis."""
    if signal.axis == axis:
        return signal.channels
    reason = f"{name} has its channels on another axis"
    spaces.pin(signal.channels, reason)
    return (spaces.add(signal.spec.shape[axis], reason),)


# Steps of layers on one signal.

# For each weight by name, the side whose channels are along an axis.
_KERNEL = {"kernel": {-2: "input", -1: "output"}, "bias": {-1: "output"}}
_WEIGHTS = {
    keras.layers.Conv2D: _KERNEL,
    GroupedConv2D: _KERNEL,
    keras.layers.Dense: _KERNEL,
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


def _weighted(spaces, layer, signal, output):
    axis = -1 if isinstance(layer, keras.layers.Dense) else _axis(layer)
    channels = _read(spaces, signal, axis, layer.name)
    own = spaces.add(output.shape[axis])
    sides = {"input": channels, "output": (own,)}
    weights = {
        name: {index: sides[side] for index, side in axes.items()}
        for name, axes in _WEIGHTS[type(layer)].items()
    }
    spaces.track(layer, channels, weights, own)
    if getattr(layer, "groups", 1) > 1:
        spaces.pin([*channels, own], f"{layer.name} has filter groups")
    if getattr(layer, "depth_multiplier", 1) > 1:
        spaces.pin(channels, f"{layer.name} makes several channels of each")
    if layer.activation not in ELEMENTWISE:
        spaces.pin([own], f"the activation of {layer.name} may need its order")
    return axis, (own,)


def _depthwise(spaces, layer, signal, output):
    axis, channels = _axis(layer), signal.channels
    if (
        signal.axis != axis
        or layer.depth_multiplier > 1
        or layer.activation not in ELEMENTWISE
    ):
        return None
    weights = {"kernel": {-2: channels}, "bias": {-1: channels}}
    spaces.track(layer, channels, weights)
    return axis, channels


def _batch_norm(spaces, layer, signal, output):
    rank = len(output.shape)
    if layer.axis % rank - rank != signal.axis:
        return None
    weights = {weight.name: {-1: signal.channels} for weight in layer.weights}
    spaces.track(layer, signal.channels, weights)
    return signal.axis, signal.channels


def _prelu(spaces, layer, signal, output):
    if signal.axis is None:
        return None
    shared = layer.alpha.shape[signal.axis] < output.shape[signal.axis]
    axes = {} if shared else {signal.axis: signal.channels}
    spaces.track(layer, signal.channels, {"alpha": axes})
    return signal.axis, signal.channels


def _unchanged(spaces, layer, signal, output):
    return signal.axis and (signal.axis, signal.channels)


def _by_channel(spaces, layer, signal, output):
    axis = _axis(layer)
    if signal.axis != axis:
        return None
    return axis if len(output.shape) == 4 else -1, signal.channels


def _local_response(spaces, layer, signal, output):
    if layer.region != "within_channel":
        return None
    return _by_channel(spaces, layer, signal, output)


def _activation(spaces, layer, signal, output):
    if layer.activation not in ELEMENTWISE:
        return None
    return _unchanged(spaces, layer, signal, output)


def _rescaling(spaces, layer, signal, output):
    if np.size(layer.scale) > 1 or np.size(layer.offset) > 1:
        return None
    return _unchanged(spaces, layer, signal, output)


def _flatten(spaces, layer, signal, output):
    if layer.data_format == "channels_last" or signal.axis is None:
        return _reshape(spaces, layer, signal, output)
    batch, channels, *sides = signal.spec.shape  # moved to the end by the layer
    if signal.axis != -1 - len(sides):
        return None
    spec = keras.KerasTensor((batch, *sides, channels), signal.spec.dtype)
    moved = dataclasses.replace(signal, spec=spec, axis=-1)
    return _reshape(spaces, layer, moved, output)


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
            return axis, signal.channels * (length // size)
    return None


_LAYERS = {
    **dict.fromkeys(_WEIGHTS, _weighted),
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.BatchNormalization: _batch_norm,
    BatchNormalization: _batch_norm,
    keras.layers.PReLU: _prelu,
    keras.layers.ReLU: _unchanged,
    keras.layers.LeakyReLU: _unchanged,
    keras.layers.ELU: _unchanged,
    keras.layers.Activation: _activation,
    keras.layers.Identity: _unchanged,
    keras.layers.ActivityRegularization: _unchanged,
    keras.layers.Dropout: _unchanged,
    keras.layers.SpatialDropout2D: _unchanged,
    keras.layers.AlphaDropout: _unchanged,
    keras.layers.GaussianDropout: _unchanged,
    keras.layers.GaussianNoise: _unchanged,
    keras.layers.Rescaling: _rescaling,
    keras.layers.MaxPooling2D: _by_channel,
    keras.layers.AveragePooling2D: _by_channel,
    keras.layers.GlobalMaxPooling2D: _by_channel,
    keras.layers.GlobalAveragePooling2D: _by_channel,
    keras.layers.ZeroPadding2D: _by_channel,
    keras.layers.Cropping2D: _by_channel,
    keras.layers.UpSampling2D: _by_channel,
    LocalResponseNormalization: _local_response,
    keras.layers.Flatten: _flatten,
    keras.layers.Reshape: _reshape,
}

# Steps of what joins several operands, of which some may be constants.


def _elementwise(spaces, operation, operands, output):
    shapes = [x.spec.shape if _is_signal(x) else np.shape(x) for x in operands]
    # Broadcasting takes the sides that are missing in front for 1.
    shapes = [(1,) * (len(output.shape) - len(s)) + tuple(s) for s in shapes]
    axes = [x.axis if _is_signal(x) else None for x in operands]
    whole = [
        axis
        for axis, shape in zip(axes, shapes, strict=True)
        if axis is not None and shape[axis] == output.shape[axis]
    ]
    if not whole:
        return None
    axis, joined = whole[0], []
    for operand, own, shape in zip(operands, axes, shapes, strict=True):
        if own == axis and shape[axis] == output.shape[axis]:
            joined.append(operand.channels)
        elif shape[axis] != 1:
            return None
        elif own not in (None, axis):
            reason = f"{operation.name} has its channels on another axis"
            spaces.pin(operand.channels, reason)
    return axis, spaces.merge(joined, operation.name)


def _concatenate(spaces, layer, operands, output):
    rank = len(output.shape)
    axis = layer.axis % rank - rank
    if output.shape[axis] is None or not all(map(_is_signal, operands)):
        return None
    axes = {signal.axis for signal in operands}
    if len(axes) == 1 and axes.isdisjoint({None, axis}):  # along height or width
        channels = [signal.channels for signal in operands]
        return axes.pop(), spaces.merge(channels, layer.name)
    parts = [_read(spaces, signal, axis, layer.name) for signal in operands]
    return axis, sum(parts, ())


_MERGING_LAYERS = {
    keras.layers.Add: _elementwise,
    keras.layers.Average: _elementwise,
    keras.layers.Maximum: _elementwise,
    keras.layers.Minimum: _elementwise,
    keras.layers.Multiply: _elementwise,
    keras.layers.Subtract: _elementwise,
    keras.layers.Concatenate: _concatenate,
}

_OPERATIONS = {"Concatenate": _concatenate} | dict.fromkeys(
    "Absolute Add Cast Divide Elu Exp Gelu HardSigmoid HardSilu LeakyRelu Log "
    "LogSigmoid Maximum Minimum Multiply Negative Power ReLU Relu Relu6 Rsqrt "
    "Selu Sigmoid Silu Softplus Softsign Sqrt Square StopGradient Subtract Tanh "
    "TrueDivide".split(),
    _elementwise,
)
