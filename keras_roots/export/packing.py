"""Packing narrow filter groups into wider ones, where that is faster."""

import functools
import os
from collections.abc import Callable

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import MeasuredTimes
from keras_roots.export import group_times, targets
from keras_roots.export.saved_model import is_grouped
from keras_roots.layers import GroupedConv2D
from keras_roots.utils import checks

# Predictions and measurements are no better than this.
_LEAST_GAIN = 0.02


def pack_groups(
    model: keras.Model,
    channels: int | str = "auto",
    dtype: str = "float32",
    target: str = targets.HOST,
    latency_table: str | os.PathLike | MeasuredTimes | None = None,
) -> keras.Model:
    """Merges neighbouring filter groups into block-diagonal ones.

    A processor computes several channels and filters at once, so that groups narrower
    than that waste it. Merging them adds zeros, off the diagonal, to the kernel: same
    outputs, more multiply-adds, often less time. A depthwise convolution (as many
    groups as channels and filters) stays, since it has a kernel of its own.

    Args:
        model: A functional or Sequential model. It stays as it is.
        channels: Input channels per group to reach, as far as the number of groups can
            be divided; or `"auto"`: per layer, what is fastest in LiteRT.
        dtype: For `"auto"`, how the model will run: `"float32"`, `"dynamic"` or
            `"int8"`.
        target: For `"auto"`, the instruction set that it will run on, a key of
            `export.TARGETS`, or `"host"`.
        latency_table: For `"auto"`, a table of times measured on that machine, or the
            path of its file, with convolutions of several numbers of groups, as
            `LatencyTable.measure_groups` fills it; by default the kernels that LiteRT
            has for the target decide.

    Returns:
        A copy of the model. Convolutions whose groups all merge become
        `keras.layers.Conv2D`.

    Raises:
        ValueError: An argument is impossible, or the model is subclassed.

    Example:
        >>> packed = pack_groups(model, channels=16)
    """
    model = graph.expand_composites(model)
    tile = targets.tile_of(target, dtype)
    automatic = isinstance(channels, str) and channels == "auto"
    if not automatic:
        checks.unused("latency_table", latency_table, "channels='auto'")
    if automatic:
        merge = fastest_merge(tile, group_times.read(latency_table, dtype))
    elif checks.is_integer(channels) and channels > 0:
        merge = functools.partial(_merge_to, channels=channels)
    else:
        raise ValueError(
            "`channels` must be 'auto' or a positive integer. "
            f"Received: channels={channels!r}"
        )
    return pack(model, merge)[0]


def pack(
    model: keras.Model, merge: Callable[[keras.Layer], int]
) -> tuple[keras.Model, dict[str, str]]:
    """Merges groups, and describes the change of each layer.

    Args:
        model: As for `pack_groups`.
        merge: Function of a grouped convolution: how many neighbouring groups become
            one.
    """
    changes = {}

    def replace(layer):
        if not is_grouped(layer) or _is_depthwise(layer):
            return None
        merged = merge(layer)
        if merged == 1:
            return None
        changes[layer.name] = f"{layer.groups} -> {layer.groups // merged} groups"
        return _packed(layer, merged)

    return graph.rewrite(model, replace), changes


def fastest_merge(
    tile: targets.Tile, curves: group_times.Curves | None = None
) -> Callable[[keras.Layer], int]:
    """Returns the function of a convolution that says which merge takes least time.

    Args:
        tile: What the processor computes at once.
        curves: Times measured on it, as `group_times.read` returns them.
    """

    def merge(layer):
        height, width, channels, filters = layer.kernel.shape
        times = group_times.by_width(
            tile, (height, width), channels * layer.groups, filters, curves
        )
        options = {count: times(count * channels) for count in _merges(layer.groups)}
        options = {count: time for count, time in options.items() if time is not None}
        if 1 not in options:
            return 1
        best = min(options, key=options.get)
        return best if options[best] < (1 - _LEAST_GAIN) * options[1] else 1

    return merge


def pack_kernel(kernel: np.ndarray, groups: int, merged: int) -> np.ndarray:
    """Returns the kernel with zeros where a filter sees its new group's neighbours.

    Args:
        kernel: Filters, `(height, width, channels / groups, filters)`.
        groups: Number of groups.
        merged: How many neighbouring groups become one; divides `groups`.

    Returns:
        Filters, `(height, width, merged * channels / groups, filters)`.
    """
    height, width, channels, filters = kernel.shape
    blocks = kernel.reshape(height, width, channels, groups, filters // groups)
    packed = np.zeros((height, width, merged, *blocks.shape[2:]), kernel.dtype)
    for group in range(groups):
        packed[:, :, group % merged, :, group] = blocks[..., group, :]
    return packed.reshape(height, width, merged * channels, filters)


def _packed(layer, merged) -> graph.Replacement:
    config, (kernel, *others) = graph.merged(layer)
    config["groups"] = layer.groups // merged
    config["kernel_constraint"] = None  # it was on the kernel before packing
    if config["groups"] > 1:
        packed = GroupedConv2D.from_config(config)
    else:
        config.pop("lowering", None)
        packed = keras.layers.Conv2D.from_config(config)
    return graph.Replacement(
        [packed], [[pack_kernel(kernel, layer.groups, merged), *others]]
    )


def _is_depthwise(layer) -> bool:
    return layer.kernel.shape[2] == 1 and layer.filters == layer.groups


def _merges(groups) -> list[int]:
    return [count for count in range(1, groups + 1) if groups % count == 0]


def _merge_to(layer, channels) -> int:
    enough = (
        merged
        for merged in _merges(layer.groups)
        if merged * layer.kernel.shape[2] >= channels
    )
    return next(enough, layer.groups)
