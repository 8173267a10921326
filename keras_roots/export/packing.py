"""Packing narrow filter groups into wider ones, where that is faster."""

import math
import os

import keras
import numpy as np

from keras_roots import surgery
from keras_roots.export import costs
from keras_roots.export.lowering import is_grouped
from keras_roots.layers import GroupedConv2D

# Differences below this are noise of the measurement.
_LEAST_GAIN = 0.02


def pack_groups(
    model: keras.Model,
    channels: int | str = "auto",
    dtype: str = "float32",
    cost_table: str | os.PathLike | None = None,
) -> keras.Model:
    """Merges neighbouring filter groups into block-diagonal ones.

    A vector unit computes several channels at once, so that groups narrower than it
    waste it. Merging them adds zeros, off the diagonal, to the kernel: same outputs,
    more multiply-adds, often less time. A depthwise convolution (as many groups as
    channels and filters) stays, since it has a kernel of its own.

    Args:
        model: A functional or Sequential model. It stays as it is.
        channels: Input channels per group to reach, as far as the number of groups can
            be divided; or `"auto"`: per layer, what the cost table finds fastest, and
            no change where that is not measurably faster.
        dtype: For `"auto"`, how the model will run in LiteRT: `"float32"`,
            `"dynamic"` or `"int8"`.
        cost_table: For `"auto"`, a table measured on the machine that the model will
            run on, which `keras-roots-benchmark --cost_table=FILE` writes; by default
            the one of this package, measured on an x86 CPU with AVX-512.

    Returns:
        A copy of the model. Convolutions whose groups all merge become
        `keras.layers.Conv2D`.

    Raises:
        ValueError: An argument is impossible, or the model is subclassed.

    Example:
        >>> packed = pack_groups(model, channels=16)
    """
    return pack(model, channels, dtype, cost_table)[0]


def pack(
    model, channels="auto", dtype="float32", cost_table=None
) -> tuple[keras.Model, dict[str, tuple[int, int]]]:
    """Does what `pack_groups` does, and tells the groups before and after by layer."""
    table = None
    if channels == "auto":
        table = costs.load(cost_table)
        if dtype not in table:
            raise ValueError(
                f"`dtype` must be one of {sorted(table)}. Received: dtype={dtype!r}"
            )
    elif not isinstance(channels, int) or isinstance(channels, bool) or channels < 1:
        raise ValueError(
            "`channels` must be 'auto' or a positive integer. "
            f"Received: channels={channels!r}"
        )
    changes = {}

    def replace(layer):
        if not is_grouped(layer):
            return None
        if table is None:
            merged = _merge_to(layer, channels)
        else:
            merged = _fastest_merge(layer, table[dtype])
        if merged == 1:
            return None
        changes[layer.name] = (layer.groups, layer.groups // merged)
        return _packed(layer, merged)

    return surgery.rewrite(model, replace), changes


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


def _packed(layer, merged) -> surgery.Replacement:
    config = {**layer.get_config(), "groups": layer.groups // merged}
    config["kernel_constraint"] = None  # it was on the kernel before packing
    if config["groups"] > 1:
        packed = GroupedConv2D.from_config(config)
    else:
        config.pop("lowering", None)
        packed = keras.layers.Conv2D.from_config(config)
    kernel, *bias = layer.get_weights()
    return surgery.Replacement(
        [packed], [[pack_kernel(kernel, layer.groups, merged), *bias]]
    )


def _is_depthwise(layer) -> bool:
    return layer.kernel.shape[2] == 1 and layer.filters == layer.groups


def _merges(groups) -> list[int]:
    return [count for count in range(1, groups + 1) if groups % count == 0]


def _merge_to(layer, channels) -> int:
    if _is_depthwise(layer):
        return 1
    enough = (
        merged
        for merged in _merges(layer.groups)
        if merged * layer.kernel.shape[2] >= channels
    )
    return next(enough, layer.groups)


def _fastest_merge(layer, shapes) -> int:
    if _is_depthwise(layer):
        return 1
    height, width, channels, filters = layer.kernel.shape
    times = costs.times(
        shapes, math.sqrt(height * width), channels * layer.groups, filters
    )
    now = times(channels)
    if now is None:
        return 1
    options = {
        merged: times(merged * channels)
        for merged in _merges(layer.groups)
        if times(merged * channels) is not None
    }
    best = min(options, key=options.get)
    return best if options[best] < (1 - _LEAST_GAIN) * now else 1
