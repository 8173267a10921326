"""Average pooling as a depthwise convolution."""

import keras
import numpy as np

from keras_roots import graph
from keras_roots.export.rewrites import folding

# XNNPACK's depthwise kernels have no more taps; beyond, they are many times slower.
_MOST_TAPS = 25


def convolve_average_pools(model: keras.Model) -> tuple[keras.Model, dict[str, str]]:
    """Replaces average pools by depthwise convolutions.

    XNNPACK has no average pooling in int8, so that LiteRT falls back to a slow kernel;
    its depthwise convolutions are fast, up to 5x5. Windows that reach over the edge
    average the positions inside: a factor makes up for the zeros. A layer that is
    called on images of several sizes stays.

    Args:
        model: A functional or Sequential model. It stays as it is.

    Returns:
        A copy with the same outputs up to rounding, and the change of each layer.
    """
    connections = graph.Connections(model)
    changes = {}

    def replace(layer):
        if not graph.is_a(layer, keras.layers.AveragePooling2D):
            return None
        inputs = connections.input(layer)
        if inputs is None or not folding.is_image(inputs):
            return None
        if layer.data_format != "channels_last" or None in inputs.shape[1:]:
            return None
        area = layer.pool_size[0] * layer.pool_size[1]
        if area > _MOST_TAPS:
            return None
        changes[layer.name] = "depthwise convolution"
        outputs = connections.output(layer)
        edges = np.multiply.outer(
            *(_edge_factors(layer, inputs, outputs, axis) for axis in (0, 1))
        )
        padded = (edges != 1).any()
        depthwise = keras.layers.DepthwiseConv2D(
            layer.pool_size,
            layer.strides,
            layer.padding,
            use_bias=False,
            name=f"{layer.name}_sum" if padded else layer.name,
            dtype=layer.dtype_policy,
        )
        channels = inputs.shape[-1]
        kernel = np.full((*layer.pool_size, channels, 1), 1 / area)
        if not padded:
            return graph.Replacement([depthwise], [[kernel]])
        factors = np.repeat(edges[..., None], channels, axis=-1)
        settings = {"name": layer.name, "dtype": layer.dtype_policy}
        scale = keras.layers.Rescaling(factors.tolist(), **settings)
        return graph.Replacement([depthwise, scale], [[kernel], []])

    return graph.rewrite(model, replace), changes


def _edge_factors(layer, inputs, outputs, axis) -> np.ndarray:
    """Returns window size over positions inside, by output position along an axis."""
    side, size = inputs.shape[1 + axis], layer.pool_size[axis]
    starts = np.arange(outputs.shape[1 + axis]) * layer.strides[axis]
    if layer.padding == "same":
        starts -= max(0, starts[-1] + size - side) // 2
    inside = np.minimum(starts + size, side) - np.maximum(starts, 0)
    return size / inside
