"""Kernels as matrices, one per filter group, in float64."""

import keras
import numpy as np


def read(name: str, layer: keras.Layer) -> np.ndarray:
    """Returns the kernel of a convolution or a Dense layer in float64.

    Args:
        name: Name of the layer, for the error.
        layer: The layer.

    Returns:
        `[height, width, channels / groups, N]`; that of a Dense layer is a 1x1.

    Raises:
        ValueError: It has no weights yet, or some are NaN or infinite.
    """
    if not layer.built:
        raise ValueError(
            f"Layer {name!r} must be built: it has no kernel yet. "
            f"Received: layer={layer!r}"
        )
    kernel = keras.ops.convert_to_numpy(layer.kernel).astype("float64")
    wrong = int(np.count_nonzero(~np.isfinite(kernel)))
    if wrong:
        raise ValueError(
            f"The kernel of layer {name!r} must be finite. Received: {wrong} of its "
            f"{kernel.size} weights are NaN or infinite; did training diverge?"
        )
    return kernel[None, None] if kernel.ndim == 2 else kernel


def assign(layer: keras.Layer, kernel: np.ndarray) -> None:
    """Gives a convolution or a Dense layer a kernel.

    Args:
        layer: The layer.
        kernel: As `read` returns it.
    """
    layer.kernel.assign(kernel.reshape(layer.kernel.shape))


def to_matrices(kernel: np.ndarray, groups: int) -> np.ndarray:
    """Returns each group's filters as the columns of a matrix.

    Args:
        kernel: `[height, width, channels / groups, N]`.
        groups: Filter groups.

    Returns:
        `[groups, D, N / groups]` with `D = height * width * channels / groups`.
    """
    filters = kernel.shape[-1]
    columns = kernel.reshape(-1, groups, filters // groups)
    return columns.transpose(1, 0, 2).astype("float64")


def from_matrices(
    matrices: np.ndarray, height: int, width: int, channels: int
) -> np.ndarray:
    """Returns the kernel of which `to_matrices` makes these matrices.

    Args:
        matrices: `[groups, D, N / groups]`.
        height: Height of the kernel.
        width: Width of the kernel.
        channels: Input channels per group.

    Returns:
        `[height, width, channels, N]`.
    """
    return matrices.transpose(1, 0, 2).reshape(height, width, channels, -1)


def to_separable_matrices(kernel: np.ndarray, groups: int) -> np.ndarray:
    """Returns each group's kernel as a matrix of columns by rows of its filters.

    Tai et al., Convolutional neural networks with low-rank regularization (ICLR 2016).

    Args:
        kernel: `[height, width, channels / groups, N]`.
        groups: Filter groups.

    Returns:
        `[groups, height * channels / groups, width * N / groups]`.
    """
    height, width, channels, filters = kernel.shape
    parts = kernel.reshape(height, width, channels, groups, filters // groups)
    matrices = parts.transpose(3, 0, 2, 1, 4).astype("float64")
    return matrices.reshape(groups, height * channels, width * filters // groups)
