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
    three channels to a pixel, a whole row of pixels is treated as the channels. Layers
    stay that scale by row or column, or are called on images of several sizes.

    Args:
        model: A functional or Sequential model. It stays as it is.

    Returns:
        A copy with the same outputs up to rounding, and the change of each layer.
    """
    connections = graph.Connections(model)
    changes = {}

    def replace(layer):
        inputs = connections.input(layer)
        if inputs is None or not folding.is_image(inputs):
            return None
        found = _affine(layer, connections)
        _, _, width, channels = inputs.shape
        if found is None or found[0].size not in (1, channels):
            return None
        scale, offset = (np.broadcast_to(values, channels) for values in found)
        narrow = channels < _NARROW
        if narrow and width is None:
            return None
        repeats = width if narrow else 1
        changes[layer.name] = "one depthwise convolution"
        policy = layer.dtype_policy
        depthwise = keras.layers.DepthwiseConv2D(
            1, name=f"{layer.name}_depthwise" if narrow else layer.name, dtype=policy
        )
        weights = [
            np.tile(scale, repeats).reshape(1, 1, -1, 1),
            np.tile(offset, repeats),
        ]
        if not narrow:
            return graph.Replacement([depthwise], [weights])
        layers = [
            keras.layers.Reshape((-1, 1, width * channels), dtype=policy),
            depthwise,
            keras.layers.Reshape((-1, width, channels), name=layer.name, dtype=policy),
        ]
        return graph.Replacement(layers, [[], weights, []])

    return graph.rewrite(model, replace), changes


def _affine(layer, connections):
    """Returns factors and offsets by channel of a layer that is worth replacing."""
    if keras.config.image_data_format() != "channels_last":
        return None
    if folding.is_batch_norm(layer):
        sources = connections.sources(layer)
        if not sources or _absorbs(sources[0]):
            return None
        return folding.affine(layer)
    if graph.is_a(layer, keras.layers.Rescaling):
        return _per_channel(layer.scale, layer.offset)
    if graph.is_a(layer, keras.layers.Normalization) and not layer.invert:
        mean, variance = (
            keras.ops.convert_to_numpy(x).astype("float64")
            for x in (layer.mean, layer.variance)
        )
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
        return _per_channel(1 / deviation, -mean / deviation)
    return None


def _absorbs(source) -> bool:
    """Tells whether the converter folds a BatchNorm into the operation before it."""
    if isinstance(source, keras.layers.InputLayer):  # of a model within another
        return True
    linear = getattr(source, "activation", None) in (None, keras.activations.linear)
    return linear and graph.is_a(
        source,
        keras.layers.Conv2D,
        keras.layers.DepthwiseConv2D,
        keras.layers.Conv2DTranspose,
        keras.layers.SeparableConv2D,
        keras.layers.Dense,
    )


def _per_channel(scale, offset):
    """Returns vectors, if there is more to them than two numbers, but no rows."""
    scale, offset = (np.asarray(x, "float64") for x in (scale, offset))
    channels = max(scale.size, offset.size)
    by_channel = all(x.shape[-1:] in ((), (x.size,)) for x in (scale, offset))
    if channels == 1 or not by_channel:
        return None
    return np.broadcast_arrays(scale.ravel(), offset.ravel())
