"""Merging the two 1x1 convolutions whose outputs a residual block adds."""

import keras
import numpy as np

from keras_roots import graph
from keras_roots.export.rewrites import folding


def merge_projections(model: keras.Model) -> tuple[keras.Model, dict[str, str]]:
    """Merges the sum of two 1x1 convolutions into one of their stacked inputs.

    Where a residual block changes the width, its last 1x1 convolution and the one on
    the shortcut are added. One convolution of both inputs, one after the other, gives
    the sum: the multiply-adds stay, and an addition and a tensor to write go. Layers
    that are called more than once stay.

    Args:
        model: A functional or Sequential model. It stays as it is.

    Returns:
        A copy with the same outputs up to rounding, the model itself if there is no
        such sum; and the change of each layer.
    """
    connections = graph.Connections(model)
    replacements: dict[int, graph.Replacement] = {}
    changes = {}
    for _, layer in graph.operations(model):
        branches = _branches(layer, connections)
        if branches is None:
            continue
        kernels, biases = zip(
            *(folding.folded(*branch) for branch in branches), strict=True
        )
        for convolution, batch_norm in branches:
            replacements[id(convolution)] = _input_of(convolution)
            if batch_norm is not None:
                replacements[id(batch_norm)] = graph.Replacement([], [])
        settings = {"name": layer.name, "dtype": branches[0][0].dtype_policy}
        merged = keras.layers.Conv2D(kernels[0].shape[-1], 1, **settings)
        joined = keras.layers.Concatenate(dtype=layer.dtype_policy)
        replacements[id(layer)] = graph.Replacement(
            [joined, merged],
            [[], [np.concatenate(kernels, axis=2), sum(biases)]],
        )
        changes[layer.name] = " + ".join(conv.name for conv, _ in branches)
    if not changes:
        return model, {}
    rewritten = graph.rewrite(model, lambda layer: replacements.get(id(layer)))
    return rewritten, changes


def _branches(layer, connections):
    """Returns convolution and BatchNorm of each branch of a sum that can be merged."""
    if not graph.is_a(layer, keras.layers.Add):
        return None
    branches = []
    for source in connections.sources(layer):
        convolution, batch_norm = source, None
        if folding.is_batch_norm(source):
            (convolution,) = connections.sources(source) or [None]
            batch_norm = source
            if connections.follower(source) is not layer:
                return None
        if not _is_projection(convolution):
            return None
        if connections.follower(convolution) is not (batch_norm or layer):
            return None
        branches.append((convolution, batch_norm))
    kinds = {
        (connections.output(convolution).shape, convolution.dtype_policy.name)
        for convolution, _ in branches
    }
    return branches if len(branches) == 2 and len(kinds) == 1 else None


def _is_projection(layer) -> bool:
    return (
        graph.is_a(layer, keras.layers.Conv2D)
        and layer.kernel_size == (1, 1)
        and layer.groups == 1
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
    )


def _input_of(convolution) -> graph.Replacement:
    """Returns what selects the input positions that a 1x1 convolution reads."""
    if convolution.strides == (1, 1):
        return graph.Replacement([], [])
    # XNNPACK has no pooling of single positions; a depthwise convolution picks them.
    pick = keras.layers.DepthwiseConv2D(
        1,
        convolution.strides,
        use_bias=False,
        name=convolution.name,
        dtype=convolution.dtype_policy,
    )
    return graph.Replacement(
        [pick], [[np.ones((1, 1, convolution.kernel.shape[2], 1))]]
    )
