"""Convolutions of images with the pixels of a row side by side as channels."""

from typing import NamedTuple

import keras
import numpy as np

from keras_roots import graph
from keras_roots.export import targets
from keras_roots.export.rewrites import folding

# Layers with more channels than this fill a processor's tiles by themselves.
_MOST_CHANNELS = 4
# Predictions are no better than this.
_LEAST_GAIN = 0.1


class Widening(NamedTuple):
    """How a convolution takes several pixels of a row as one with more channels.

    Attributes:
        pixels: Pixels of the input that become one.
        outputs: Positions of the output that become one, with their filters in a row.
        width: Width of the new kernel.
        start: Pixels from the new kernel's left edge to the old one's.
    """

    pixels: int
    outputs: int
    width: int
    start: int


def widen_stem(
    model: keras.Model, tile: targets.Tile
) -> tuple[keras.Model, dict[str, str]]:
    """Gives convolutions of images more channels and fewer taps.

    An instruction that sums up eight channels (int8 on x86) is mostly idle on three.
    Two neighbouring pixels of a row lie side by side in memory: as one position of six
    channels they need half as many taps. Layers change where that is faster by the
    tile, and stay where they are called more than once.

    Args:
        model: A functional or Sequential model. It stays as it is.
        tile: What the processor computes at once.

    Returns:
        A copy with the same outputs up to rounding, the model itself if none changes;
        and the change of each layer.
    """
    connections = graph.Connections(model)
    replacements: dict[int, graph.Replacement] = {}
    changes = {}
    for _, layer in graph.operations(model):
        widening = _widening(layer, connections, tile)
        if widening is None:
            continue
        _widen(layer, widening, connections, replacements)
        changes[layer.name] = f"{widening.pixels} pixels at a time"
    if not changes:
        return model, {}
    rewritten = graph.rewrite(model, lambda layer: replacements.get(id(layer)))
    return rewritten, changes


def widened_kernel(kernel: np.ndarray, widening: Widening, stride: int) -> np.ndarray:
    """Returns the kernel over pixels side by side.

    Args:
        kernel: Filters, `(height, width, channels, filters)`.
        widening: How the convolution changes.
        stride: Its horizontal stride.

    Returns:
        Filters, `(height, widening.width, pixels * channels, outputs * filters)`.
    """
    height, width, channels, filters = kernel.shape
    pixels = widening.width * widening.pixels
    wide = np.zeros((height, pixels, channels, widening.outputs, filters))
    for output in range(widening.outputs):
        start = widening.start + output * stride
        wide[:, start : start + width, :, output] = kernel
    return wide.reshape(
        height,
        widening.width,
        widening.pixels * channels,
        widening.outputs * filters,
    )


def _widening(layer, connections, tile) -> Widening | None:
    """Returns the fastest way to widen a layer, if one is faster than none."""
    if not _can_widen(layer, connections):
        return None
    height, width, channels, filters = layer.kernel.shape
    ends = connections.input(layer), connections.output(layer)
    sides = [tensor.shape[2] for tensor in ends]
    best = (1 - _LEAST_GAIN) * targets.cost(tile, height * width, channels, filters)
    found = None
    for pixels in (2, 4, 8):
        widening = _geometry(layer, *sides, pixels)
        if widening is None:
            continue
        time = targets.cost(
            tile,
            height * widening.width,
            pixels * channels,
            widening.outputs * filters,
        )
        if time / widening.outputs < best:
            best, found = time / widening.outputs, widening
    return found


def _can_widen(layer, connections) -> bool:
    return (
        graph.is_a(layer, keras.layers.Conv2D)
        and bool(connections.sources(layer))
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.dilation_rate == (1, 1)
        and layer.kernel.shape[1] > 1
        and layer.kernel.shape[2] <= _MOST_CHANNELS
        and None not in connections.input(layer).shape[1:]
        and layer.activation in graph.ELEMENTWISE
    )


def _geometry(layer, side, end, pixels) -> Widening | None:
    """Returns how a layer takes so many pixels at once; `None` if it cannot.

    Args:
        layer: The layer.
        side: Width of its input.
        end: Width of its output.
        pixels: How many pixels.
    """
    stride, size = layer.strides[1], layer.kernel_size[1]
    if side % pixels or pixels % stride:
        return None
    outputs = pixels // stride
    left = 0
    if layer.padding == "same":
        left = max(0, (end - 1) * stride + size - side) // 2
    before = -(-left // pixels)
    after = ((outputs - 1) * stride - left + size - 1) // pixels
    if layer.padding == "same":  # which pads both sides alike, or the right one more
        before = max(before, after - 1)
        after = max(before, after)
        positions = side // pixels
    else:
        positions = side // pixels - after
    if positions * outputs != end:
        return None
    return Widening(pixels, outputs, before + 1 + after, before * pixels - left)


def _widen(layer, widening, connections, replacements):
    """Replaces a layer and, if outputs lie side by side, what follows it."""
    _, side, width, channels = connections.input(layer).shape
    config, (kernel, *bias) = graph.merged(layer)
    wide = keras.layers.Conv2D(
        widening.outputs * layer.filters,
        (layer.kernel_size[0], widening.width),
        (layer.strides[0], 1),
        layer.padding,
        activation=config["activation"],
        use_bias=layer.use_bias,
        name=layer.name,
        dtype=layer.dtype_policy,
    )
    weights = [
        widened_kernel(kernel, widening, layer.strides[1]),
        *(np.tile(values, widening.outputs) for values in bias),
    ]
    rows = keras.layers.Reshape(
        (side, width // widening.pixels, widening.pixels * channels),
        dtype=layer.dtype_policy,
    )
    replacements[id(layer)] = graph.Replacement([rows, wide], [[], weights])
    if widening.outputs == 1:
        return
    # BatchNorm and activation come before the positions part, to be merged with it.
    last = layer
    follower = connections.follower(layer)
    if follower is not None and folding.is_batch_norm(follower):
        last = follower
        replacements[id(last)] = graph.Replacement(
            [graph.copy_of(last)],
            [[np.tile(values, widening.outputs) for values in last.get_weights()]],
        )
        follower = connections.follower(last)
    if graph.is_a(follower, keras.layers.ReLU):
        last = follower
        replacements[id(last)] = graph.Replacement([graph.copy_of(last)], [[]])
    chain, chain_weights = replacements[id(last)]
    shape = connections.output(layer).shape[1:]
    parted = keras.layers.Reshape(shape, dtype=last.dtype_policy)
    replacements[id(last)] = graph.Replacement([*chain, parted], [*chain_weights, []])
