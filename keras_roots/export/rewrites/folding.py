"""BatchNorm as a factor and an offset per channel."""

import keras
import numpy as np


def is_batch_norm(layer) -> bool:
    """Tells whether a layer is a BatchNormalization over the last axis."""
    return (
        isinstance(layer, keras.layers.BatchNormalization)
        and layer.axis in (-1, 3)
        and layer.input_spec.ndim == 4
    )


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
        convolution: A convolution.
        batch_norm: The BatchNormalization of its output, `None` if there is none.
    """
    kernel, *bias = (np.asarray(w, "float64") for w in convolution.get_weights())
    bias = bias[0] if bias else np.zeros(kernel.shape[-1])
    if batch_norm is None:
        return kernel, bias
    scale, offset = affine(batch_norm)
    return kernel * scale, bias * scale + offset
