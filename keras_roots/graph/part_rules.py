"""How convolutions of other kinds are made of 2D convolutions: one rule for each."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_roots.graph.channel_rules import ELEMENTWISE
from keras_roots.graph.copies import configuration, merged
from keras_roots.graph.surgery import Replacement
from keras_roots.layers import GroupedConv2D

Part = tuple[keras.Layer, Sequence[np.ndarray]]  # not built, and its weights


class Rule(NamedTuple):
    """How layers of a class are taken apart and put together.

    Attributes:
        suffixes: Function of a layer: what follows its name in those of its parts, in
            their order; nothing for the part that has its filters.
        obstacle: Function of a layer and its input: why it cannot be taken apart, if
            so.
        apart: Function of a layer, the names of its parts and its input: the parts.
        together: Function of the original layer and of what its parts are now, from the
            first to the last: by `id`, what takes the place of each.
    """

    suffixes: Callable[[keras.Layer], Sequence[str]]
    obstacle: Callable[[keras.Layer, keras.KerasTensor | None], str]
    apart: Callable[..., Sequence[Part]]
    together: Callable[..., dict[int, Replacement]]


_COMMON = ("trainable", "dtype", "data_format")
_BIAS = ("use_bias", "bias_initializer", "bias_regularizer", "bias_constraint")
_TUPLES = ("kernel_size", "strides", "dilation_rate")
_LEFT_OUT = Replacement((), ())


def _settings(config, keys: Sequence[str], **more) -> dict:
    return {key: config[key] for key in keys} | more


def _of_kernel(config, own: str, other: str) -> dict:
    """What a configuration says of one kernel, for a layer that calls it otherwise."""
    ends = ("initializer", "regularizer", "constraint")
    return {f"{other}_{end}": config[f"{own}_{end}"] for end in ends}


def _left_out(layers) -> dict[int, Replacement]:
    return {id(layer): _LEFT_OUT for layer in layers}


def _shape_obstacle(layer, constraint: str, activations=ELEMENTWISE) -> str:
    """Why a layer depends on the shape of its output or of its kernel."""
    function = layer.activation
    if function not in activations:
        name = getattr(function, "__name__", type(function).__name__)
        return f"its activation, {name}, may depend on the shape of what it gets"
    if getattr(layer, constraint) is not None:
        return "its kernel has a constraint"
    return ""


# Separable convolutions, of one dimension or two.


def _separable_apart(layer, names, tensor=None) -> list[Part]:
    """The depthwise convolution and the 1x1."""
    config, (depthwise, pointwise, *others) = merged(layer)
    keys = (*_COMMON, *_TUPLES, "padding", "depth_multiplier")
    first = _settings(config, keys, name=names[0], use_bias=False)
    first |= _of_kernel(config, "depthwise", "depthwise")
    keys = (*_COMMON, *_BIAS, "filters", "activation", "activity_regularizer")
    second = _settings(config, keys, name=names[-1], kernel_size=1)
    second |= _of_kernel(config, "pointwise", "kernel")
    kind = keras.layers.DepthwiseConv2D
    if isinstance(layer, keras.layers.SeparableConv1D):
        kind = keras.layers.DepthwiseConv1D
    kernel = pointwise.reshape(1, 1, *pointwise.shape[-2:])
    return [
        (kind.from_config(first), [depthwise]),
        (keras.layers.Conv2D.from_config(second), [kernel, *others]),
    ]


def _separable_together(layer, path) -> dict[int, Replacement]:
    """One layer for a depthwise convolution and a 1x1 behind it."""
    if len(path) != 2:
        return {}
    depthwise, pointwise = path
    own, config = configuration(pointwise), configuration(layer)
    config |= _of_kernel(configuration(depthwise), "depthwise", "depthwise")
    config |= _of_kernel(own, "kernel", "pointwise") | _settings(own, _BIAS)
    kernel, *others = pointwise.get_weights()
    kernel = kernel.reshape(layer.pointwise_kernel.shape)
    weights = [[*depthwise.get_weights(), kernel, *others]]
    whole = type(layer).from_config(config)
    return _left_out([depthwise]) | {id(pointwise): Replacement([whole], weights)}


# Convolutions of one dimension.

# What gives the same for a sequence and for an image of one row.
_ALONG_ROWS = {*ELEMENTWISE, keras.activations.softmax}


def _between_reshapes(parts, names, channels, config) -> list[Part]:
    """The last of parts, a 2D convolution, for sequences: images of one row."""
    *first, last = parts
    filters = last[0].filters
    shapes = [(1, -1, channels), (-1, filters)]
    if config["data_format"] == "channels_first":
        shapes = [(channels, 1, -1), (filters, -1)]
    before, after = (
        (keras.layers.Reshape(shape, name=name, dtype=config["dtype"]), [])
        for shape, name in zip(shapes, names, strict=True)
    )
    return [*first, before, last, after]


def _conv_1d_apart(layer, names, tensor) -> list[Part]:
    config, (kernel, *others) = merged(layer)
    parts = []
    if layer.padding == "causal":
        width = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        padding = _settings(config, ("data_format", "dtype"), name=names[0])
        parts.append((keras.layers.ZeroPadding1D((width, 0), **padding), []))
        config["padding"] = "valid"
    config |= {key: (1, *config[key]) for key in _TUPLES}
    kind = GroupedConv2D if layer.groups > 1 else keras.layers.Conv2D
    parts.append((kind.from_config(config), [kernel[None], *others]))
    channels = kernel.shape[-2] * layer.groups
    return _between_reshapes(parts, (names[-3], names[-1]), channels, config)


def _separable_1d_apart(layer, names, tensor) -> list[Part]:
    first, before, own, after = names
    parts = _separable_apart(layer, (first, own))
    channels = parts[-1][1][0].shape[-2]
    return _between_reshapes(parts, (before, after), channels, configuration(layer))


def _one_dimension_together(layer, path) -> dict[int, Replacement]:
    """One layer, or where there are several convolutions now, a `Conv1D` for each."""
    start = len(RULES[type(layer)].suffixes(layer)) - 3
    first, (before, *convolutions, after) = path[:start], path[start:]
    together = _left_out([before, after])
    if len(convolutions) == 1:
        (own,) = convolutions
        if own.groups != getattr(layer, "groups", 1):
            return {}
        if isinstance(layer, keras.layers.SeparableConv1D):
            return together | _separable_together(layer, [*first, own])
        config = merged(layer)[0] | _settings(configuration(own), _BIAS)
        return together | _left_out(first) | {id(own): _as_conv_1d(own, config)}
    if any(type(conv) is not keras.layers.Conv2D for conv in convolutions):
        return {}
    for conv in convolutions:
        config = configuration(conv)
        config |= {key: config[key][1:] for key in _TUPLES}
        together[id(conv)] = _as_conv_1d(conv, config)
    return together


def _as_conv_1d(layer, config) -> Replacement:
    kernel, *others = layer.get_weights()
    whole = keras.layers.Conv1D.from_config(config)
    return Replacement([whole], [[kernel[0], *others]])


# Transposed convolutions whose kernels do not overlap.


def _transposed_obstacle(layer, tensor) -> str:
    if layer.kernel_size != layer.strides:
        return "its kernel is not as large as its strides"
    if layer.output_padding is not None or max(layer.dilation_rate) > 1:
        return "it is padded or dilated"
    if tensor is None or None in tensor.shape[1:]:
        return "height and width of its input are not fixed"
    return _shape_obstacle(layer, "kernel_constraint")


def _transposed_apart(layer, names, tensor) -> list[Part]:
    config, (kernel, *others) = merged(layer)
    rows, columns, filters, channels = kernel.shape
    last = layer.data_format == "channels_last"
    # Blocks of places in the order that takes the simplest permutation.
    kernel = np.moveaxis(kernel, -1, 0) if last else kernel.transpose(3, 2, 0, 1)
    weights = [kernel.reshape(1, 1, channels, -1)]
    if layer.use_bias:
        times = rows * columns
        weights.append(np.tile(others[0], times) if last else others[0].repeat(times))
    if last:
        height, width = tensor.shape[1:3]
        blocks, order = (height, width, rows, columns * filters), (1, 3, 2, 4)
        map_shape = (height * rows, width * columns, filters)
    else:
        height, width = tensor.shape[2:]
        blocks, order = (filters, rows, columns, height, width), (1, 4, 2, 5, 3)
        map_shape = (filters, height * rows, width * columns)
    keys = (*_COMMON, *_BIAS, "activation", "activity_regularizer")
    own = _settings(config, keys, name=names[0], kernel_size=1)
    own |= _of_kernel(config, "kernel", "kernel")
    own["filters"] = rows * columns * filters
    movers = [
        keras.layers.Reshape(blocks, name=names[1], dtype=config["dtype"]),
        keras.layers.Permute(order, name=names[2], dtype=config["dtype"]),
        keras.layers.Reshape(map_shape, name=names[3], dtype=config["dtype"]),
    ]
    conv = keras.layers.Conv2D.from_config(own)
    return [(conv, weights), *((mover, []) for mover in movers)]


def _transposed_together(layer, path) -> dict[int, Replacement]:
    own, *movers = path
    kernel, *others = own.get_weights()
    rows, columns, filters, channels = layer.kernel.shape
    if len(movers) != 3 or kernel.shape[2] != channels:
        return {}
    last = layer.data_format == "channels_last"
    if last:
        kernel = kernel.reshape(channels, rows, columns, filters)
        weights = [kernel.transpose(1, 2, 3, 0)]
    else:
        kernel = kernel.reshape(channels, filters, rows, columns)
        weights = [kernel.transpose(2, 3, 1, 0)]
    if others:
        shape = (-1, filters) if last else (filters, -1)
        biases = others[0].reshape(shape)
        biases = biases if last else biases.T
        if np.ptp(biases, axis=0).any():
            return {}
        weights.append(biases[0])
    config = configuration(layer) | {"use_bias": own.use_bias}
    whole = keras.layers.Conv2DTranspose.from_config(config)
    return _left_out(movers) | {id(own): Replacement([whole], [weights])}


RULES: dict[type, Rule] = {
    keras.layers.SeparableConv2D: Rule(
        lambda layer: ("_depthwise", ""),
        lambda layer, tensor: "",
        _separable_apart,
        _separable_together,
    ),
    keras.layers.Conv1D: Rule(
        lambda layer: (*["_padding"] * (layer.padding == "causal"), "_2d", "", "_1d"),
        lambda layer, tensor: _shape_obstacle(layer, "kernel_constraint", _ALONG_ROWS),
        _conv_1d_apart,
        _one_dimension_together,
    ),
    keras.layers.SeparableConv1D: Rule(
        lambda layer: ("_depthwise", "_2d", "", "_1d"),
        lambda layer, tensor: _shape_obstacle(
            layer, "pointwise_constraint", _ALONG_ROWS
        ),
        _separable_1d_apart,
        _one_dimension_together,
    ),
    keras.layers.Conv2DTranspose: Rule(
        lambda layer: ("", "_blocks", "_order", "_map"),
        _transposed_obstacle,
        _transposed_apart,
        _transposed_together,
    ),
}
