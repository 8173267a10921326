"""Data sets in NumPy's `.npz` files."""

import os
import zipfile

import numpy as np

from keras_roots.training.data.splits import Arrays, Dataset, check_classes, in_memory


def open_npz(path: str, holdout: int = 0) -> Dataset:
    """Opens an `.npz` file with `x_train`, `y_train`, `x_test` and `y_test`.

    Args:
        path: The file: images uint8 `(count, size, size, 3)`, or grey ones `(count,
            size, size, 1)` or `(count, size, size)`, which get three equal channels;
            and integer labels `(count,)` or `(count, 1)`.
        holdout: As for `open_dataset`.

    Raises:
        ValueError: There is no such file, or its content is unusable.
    """
    if not os.path.exists(path):
        raise ValueError(f"`dataset` is a file that does not exist: {path!r}")
    try:
        with np.load(path) as arrays:
            splits = [
                Arrays(_channels(arrays[f"x_{split}"]), _flat(arrays[f"y_{split}"]))
                for split in ("train", "test")
            ]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"`dataset` file {path!r} must be a NumPy .npz file with x_train, y_train, "
            f"x_test and y_test. Reading it failed with: {error}"
        ) from error
    _check(path, *splits)
    splits = [Arrays(_coloured(split.images), split.labels) for split in splits]
    classes = 1 + max(int(split.labels.max()) for split in splits)
    check_classes(path, classes)
    return in_memory(path, tuple(map(str, range(classes))), *splits, holdout)


def _channels(images) -> np.ndarray:
    """Gives grey images of three axes the axis of channels."""
    return images[..., None] if images.ndim == 3 else images


def _flat(labels) -> np.ndarray:
    """Takes the axis off labels that are `(n, 1)`."""
    return labels[:, 0] if labels.shape[1:] == (1,) else labels


def _coloured(images) -> np.ndarray:
    """Repeats the one channel of grey images."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def _check(path, *splits):
    for split in splits:
        shape = split.images.shape
        fits = len(shape) == 4 and shape[1] == shape[2] and shape[3] in (1, 3)
        if split.images.dtype != np.uint8 or not fits or 0 in shape[1:3]:
            raise ValueError(
                f"`dataset` file {path!r} must hold images as uint8 of shape (count, "
                f"size, size, 3), or (count, size, size, 1) where they are grey. "
                f"Received: {split.images.dtype} {shape}"
            )
        if split.labels.shape != shape[:1] or not np.issubdtype(
            split.labels.dtype, np.integer
        ):
            raise ValueError(
                f"`dataset` file {path!r} must hold one integer label per image: "
                "labels.argmax(axis=1) where they are one-hot. "
                f"Received: {split.labels.dtype} {split.labels.shape} labels for "
                f"{len(split.images)} images"
            )
        if not len(split.labels) or split.labels.min() < 0:
            least = split.labels.min() if len(split.labels) else "none"
            raise ValueError(
                f"`dataset` file {path!r} must hold images in both splits, and labels "
                f"from 0. Received: {len(split.labels)} labels, the least {least}"
            )
    shapes = [split.images.shape[1:] for split in splits]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"`dataset` file {path!r} must hold test images of the training images' "
            f"shape, {shapes[0]}. Received: {shapes[1]}"
        )
