"""Checks of arrays."""

from collections.abc import Iterable

import numpy as np


def images(name: str, value, shape: Iterable[int | None]) -> np.ndarray:
    """Checks a batch of images.

    Args:
        name: Name of the argument.
        value: What it received: anything that NumPy makes an array of.
        shape: Shape of one image; `None` where a side may have any length.

    Returns:
        An array `(n, *shape)` of numbers, n at least 1.

    Raises:
        ValueError: It has another shape, no numbers, or values that are not finite.
    """
    sides = ["any" if side is None else str(side) for side in shape]
    return array(
        name, value, (None, *shape), f"({', '.join(['n', *sides])}), one image or more"
    )


def array(
    name: str, value, shape: Iterable[int | None], shown: str | None = None
) -> np.ndarray:
    """Checks an array of finite numbers, none of its sides 0.

    Args:
        name: Name of the argument.
        value: What it received: anything that NumPy makes an array of.
        shape: Its shape; `None` where a side may have any length.
        shown: What the message says of the shape; `None` for the shape.

    Raises:
        ValueError: It has another shape, no numbers, or values that are not finite.
    """
    shape = tuple(shape)
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        array = np.asarray(None)
    if array.dtype.name == "bfloat16":
        array = array.astype("float32")
    fits = array.ndim == len(shape) and all(
        known in (None, side) for side, known in zip(array.shape, shape, strict=True)
    )
    if not fits or not array.size or array.dtype.kind not in "uif":
        raise ValueError(
            f"`{name}` must be numbers of shape {shown or shape}. "
            f"Received: {name} of shape {array.shape} and type {array.dtype}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be finite. Received: {name} with NaN or infinite values"
        )
    return array
