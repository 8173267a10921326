"""BatchNorm as a factor and an offset per channel."""

import keras
import numpy as np

from keras_roots import graph


def is_batch_norm(layer) -> bool:
    """Tells whether a layer is a BatchNormalization over the last axis of images."""
    return (
        graph.is_a(layer, keras.layers.BatchNormalization)
        and layer.axis in (-1, 3)
        and layer.input_spec.ndim == 4
    )


def is_image(tensor: keras.KerasTensor) -> bool:
    """Tells whether a tensor holds images of real numbers."""
    return len(tensor.shape) == 4 and "float" in tensor.dtype


def affine(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Returns the factor and the offset of a BatchNormalization at inference."""
    mean = np.asarray(layer.moving_mean, "float64")
    scale = 1 / np.sqrt(np.asarray(layer.moving_variance, "float64") + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma, "float64")
    offset = -mean * scale
    if layer.center:
        offset = offset + np.asarray(layer.beta, "float64")
    return scale, offset


def folded(
    convolution: keras.layers.Conv2D, batch_norm: keras.layers.Layer | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kernel and the bias of a convolution with the BatchNorm after it.

    Args:
        convolution: A convolution, whose activation has no weights.
        batch_norm: The BatchNormalization of its output, `None` if there is none.
    """
    kernel, *bias = (w.astype("float64") for w in graph.merged(convolution)[1])
    bias = bias[0] if bias else np.zeros(kernel.shape[-1])
    if batch_norm is None:
        return kernel, bias
    scale, offset = affine(batch_norm)
    return kernel * scale, bias * scale + offset
