"""Scaling by channel as one depthwise convolution."""

import keras
import numpy as np

from keras_roots import graph
from keras_roots.export.rewrites import folding

# Fewer channels than this leave most of a vector unit idle.
_NARROW = 16


def merge_normalization(model: keras.Model) -> tuple[keras.Model, dict[str, str]]:
    """Replaces each scaling and offset by channel by one operation.

    The converter folds BatchNorm into a convolution before it. Elsewhere, as at the
    input and in pre-activation networks, it leaves a multiplication and an addition;
    a 1x1 depthwise convolution does both at once, and takes a ReLU with it. On images,
    three channels to a pixel, a whole row of pixels is treated as the channels.

    Args:
        model: A functional or Sequential model. It stays as it is.

    Returns:
        A copy with the same outputs up to rounding, and the change of each layer.
    """
    connections = graph.Connections(model)
    changes = {}

    def replace(layer):
        found = _affine(layer, connections)
        if found is None:
            return None
        _, _, width, channels = layer.output.shape
        scale, offset = (np.broadcast_to(values, channels) for values in found)
        narrow = channels < _NARROW
        if narrow and width is None:
            return None
        repeats = width if narrow else 1
        changes[layer.name] = "one depthwise convolution"
        depthwise = keras.layers.DepthwiseConv2D(
            1, name=f"{layer.name}_depthwise" if narrow else layer.name
        )
        weights = [
            np.tile(scale, repeats).reshape(1, 1, -1, 1),
            np.tile(offset, repeats),
        ]
        if not narrow:
            return graph.Replacement([depthwise], [weights])
        layers = [
            keras.layers.Reshape((-1, 1, width * channels)),
            depthwise,
            keras.layers.Reshape((-1, width, channels), name=layer.name),
        ]
        return graph.Replacement(layers, [[], weights, []])

    return graph.rewrite(model, replace), changes


def _affine(layer, connections):
    """Returns factor and offset of a layer that is worth replacing."""
    if len(getattr(layer, "output", keras.Input(())).shape) != 4:
        return None
    if keras.config.image_data_format() != "channels_last":
        return None
    if folding.is_batch_norm(layer):
        sources = connections.sources(layer)
        if not sources or _absorbs(sources[0]):
            return None
        return folding.affine(layer)
    if type(layer) is keras.layers.Rescaling:
        return _per_channel(layer.scale, layer.offset)
    if type(layer) is keras.layers.Normalization and not layer.invert:
        deviation = np.maximum(np.sqrt(np.asarray(layer.variance)), 1e-7)
        mean = np.asarray(layer.mean)
        return _per_channel(1 / deviation, -mean / deviation)
    return None


def _absorbs(source) -> bool:
    """Tells whether the converter folds a BatchNorm into the operation before it."""
    if isinstance(source, keras.layers.InputLayer):  # of a model within another
        return True
    linear = getattr(source, "activation", None) in (None, keras.activations.linear)
    return linear and isinstance(
        source,
        keras.layers.Conv2D
        | keras.layers.DepthwiseConv2D
        | keras.layers.Conv2DTranspose
        | keras.layers.SeparableConv2D
        | keras.layers.Dense,
    )


def _per_channel(scale, offset):
    """Returns vectors, if there is more to them than two numbers."""
    scale, offset = (np.squeeze(np.asarray(x, "float64")) for x in (scale, offset))
    if max(scale.ndim, offset.ndim) != 1:
        return None
    return np.broadcast_arrays(scale, offset)
