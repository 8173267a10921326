"""Convolutions divided into filter groups: the kernels that they start with."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_roots import graph
from keras_roots.layers import GroupedConv2D


def divide(
    model: keras.Model, groups: Mapping[str, int], *, fresh: bool = False
) -> keras.Model:
    """Returns a copy of a model whose convolutions have filter groups.

    Args:
        model: A functional or Sequential model.
        groups: Groups, more than one, by name of convolutions without any.
        fresh: Whether their kernels are initialised anew; else they keep the weights of
            neighbouring inputs and filters.
    """
    grouped = {
        id(layer): groups[name]
        for name, layer in graph.operations(model)
        if name in groups
    }

    def replace(layer):
        if id(layer) not in grouped:
            return None
        config, (kernel, *others) = graph.merged(layer)
        config["groups"] = grouped[id(layer)]
        config["kernel_constraint"] = None  # it was on the kernel of all inputs
        new = GroupedConv2D.from_config(config)
        if fresh:
            kernel = _fresh(new, layer.kernel.shape[2])
        else:
            kernel = cut(kernel, grouped[id(layer)])
        return graph.Replacement([new], [[kernel, *others]])

    return graph.rewrite(model, replace)


def cut(kernel: np.ndarray, groups: int) -> np.ndarray:
    """Returns the diagonal blocks of a kernel: its filters on their own group's inputs.

    Args:
        kernel: `(height, width, channels, filters)`.
        groups: Number of groups, each of neighbouring channels and filters.

    Returns:
        `(height, width, channels / groups, filters)`, as `GroupedConv2D` has it.
    """
    height, width, channels, filters = kernel.shape
    blocks = kernel.reshape(
        height, width, groups, channels // groups, groups, filters // groups
    )
    kept = [blocks[:, :, group, :, group] for group in range(groups)]
    return np.concatenate(kept, axis=-1)


def _fresh(layer, channels) -> np.ndarray:
    """The kernel that a layer's own initialiser makes."""
    sides = (None, None)
    last = layer.data_format == "channels_last"
    layer.build((None, *sides, channels) if last else (None, channels, *sides))
    return layer.get_weights()[0]
