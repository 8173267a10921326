"""A data set of arrays that a caller holds in memory."""

from collections.abc import Sequence

import numpy as np

from keras_roots.training.data.splits import Arrays, Dataset, in_memory

_TESTED = 5  # of so many training images, one tests where no test images are given


def from_arrays(arrays: Sequence[np.ndarray], classes: int) -> Dataset:
    """Returns a data set of images and labels in memory.

    Args:
        arrays: Images and labels, and optionally those for testing: uint8
            `(n, height, width, 3)` and integers `(n,)`. Without those to test, a fifth
            of the images is kept from training, always the same.
        classes: Number of classes.

    Raises:
        ValueError: They are no such arrays, or a label is none of the classes.
    """
    arrays = check_arrays(arrays)
    for labels in arrays[1::2]:
        if labels.max() >= classes:
            raise ValueError(
                f"Labels must be from 0 to {classes - 1}, the classes of the model. "
                f"Received: labels from {labels.min()} to {labels.max()}"
            )
    if len(arrays) == 2:
        images, labels = arrays
        order = np.random.default_rng(0).permutation(len(labels))
        test = np.arange(len(labels)) % _TESTED == 0
        kept, tested = order[~test], order[test]
        arrays = [images[kept], labels[kept], images[tested], labels[tested]]
    train, test = (
        Arrays(images, labels.astype("int64"))
        for images, labels in (arrays[:2], arrays[2:])
    )
    return in_memory("arrays", tuple(map(str, range(classes))), train, test, 0)


def check_arrays(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Checks arrays of images and labels, and returns them.

    Args:
        arrays: As for `from_arrays`.

    Raises:
        ValueError: They are no such arrays.
    """
    arrays = _listed(arrays)
    for images, labels in zip(arrays[::2], arrays[1::2], strict=True):
        _check(images, labels)
    return arrays


def _listed(arrays) -> list[np.ndarray]:
    listed = isinstance(arrays, tuple | list)  # others may be endless
    if not listed or len(arrays) not in (2, 4):
        received = type(arrays).__name__
        if listed:
            received += f" of {len(arrays)}"
    else:
        try:
            return [np.asarray(array) for array in arrays]
        except ValueError:  # nested, or lists of unequal length
            received = f"{type(arrays).__name__} of what is no array"
    raise ValueError(
        "`dataset` must be the name of a data set, (images, labels) or (images, "
        f"labels, test images, test labels), arrays. Received: {received}"
    )


def _check(images, labels):
    shaped = images.ndim == 4 and images.shape[-1] == 3 and 0 not in images.shape[1:3]
    if not shaped or images.dtype != "uint8":
        raise ValueError(
            "Images must be uint8, (n, height, width, 3), pixels 0 to 255. "
            f"Received: {images.dtype} of shape {images.shape}"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "ui":
        raise ValueError(
            f"Labels must be integers, one for each of the {len(images)} images: "
            "labels[:, 0] where they are (n, 1), labels.argmax(axis=1) where they are "
            f"one-hot. Received: {labels.dtype} of shape {labels.shape}"
        )
    if len(labels) < 2 * _TESTED:
        raise ValueError(
            f"There must be {2 * _TESTED} images or more. "
            f"Received: {len(labels)} images"
        )
    if labels.min() < 0:
        raise ValueError(
            "Labels must be from 0 on, the classes of the model. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )
