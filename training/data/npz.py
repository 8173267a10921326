"""Data sets in NumPy's `.npz` files."""

import contextlib
import os
import zipfile
from collections.abc import Iterator, Sequence

import numpy as np

from keras_roots.training.data.splits import Arrays, Dataset, check_classes, in_memory
from keras_roots.utils import checks

_REMEDY = "; save it with numpy.savez, not compressed, if that is meant"


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
    names = [f"{kind}_{split}" for split in ("train", "test") for kind in "xy"]
    arrays = read_npz("dataset", path, names)
    splits = [
        Arrays(_channels(arrays[f"x_{split}"]), _flat(arrays[f"y_{split}"]))
        for split in ("train", "test")
    ]
    _check(path, *splits)
    classes = 1 + max(int(split.labels.max()) for split in splits)
    check_classes(path, classes, sum(split.count for split in splits))
    splits = [
        Arrays(_coloured(split.images), split.labels.astype("int64"))
        for split in splits
    ]
    return in_memory(path, tuple(map(str, range(classes))), *splits, holdout)


def list_npz(argument: str, path: str) -> list[str]:
    """Returns the names of the arrays in an `.npz` file.

    Args:
        argument: As for `read_npz`.
        path: The file.

    Raises:
        ValueError: It is no such file, or damaged.
    """
    with _opened(argument, path, "arrays of numbers") as (_, members):
        return list(members)


def read_npz(argument: str, path: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Reads arrays of an `.npz` file.

    Args:
        argument: Name of the argument that the path was given as.
        path: The file.
        names: Names of the arrays.

    Returns:
        The arrays by their names.

    Raises:
        ValueError: It is no such file, damaged, lacks an array, or one of them holds
            objects or is far larger than the file.
    """
    with _opened(argument, path, ", ".join(names)) as (archive, members):
        missing = [name for name in names if name not in members]
        if missing:
            raise ValueError(f"it has no {', '.join(missing)}, only {[*members]}")
        for name in names:
            declared, size = members[name].file_size, os.path.getsize(path)
            checks.unpacked(name, declared, size, remedy=_REMEDY)
        return {name: _read(archive, members[name], name) for name in names}


@contextlib.contextmanager
def _opened(argument, path, content) -> Iterator[tuple]:
    """Gives an `.npz` file and its arrays by name, and names it in every error."""
    try:
        if not os.path.isfile(path):  # a pipe would never end
            raise ValueError("it is no regular file")
        with zipfile.ZipFile(path) as archive:
            yield (
                archive,
                {
                    member.filename.removesuffix(".npy"): member
                    for member in archive.infolist()
                    if member.filename.endswith(".npy")
                },
            )
    except Exception as error:  # zipfile's and NumPy's are of any kind
        raise ValueError(
            f"`{argument}` file {path!r} must be a NumPy .npz file with "
            f"{content}. Reading it failed with: {checks.quoted(error)}"
        ) from error


def _read(archive, member, name) -> np.ndarray:
    """Reads an array, after what its header says was compared with its size."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        headers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in headers:
            raise ValueError(f"{name} is no array of numbers (version {version})")
        shape, _, dtype = headers[version](file)
        if dtype.kind not in "biufc":
            raise ValueError(
                f"{name} holds {dtype}, no numbers: only arrays of numbers are read"
            )
        count = 1
        for side in shape:  # of any size: Python's integers never overflow
            count *= side
        body = member.file_size - file.tell()
        if min(shape, default=0) < 0 or count * dtype.itemsize != body:
            raise ValueError(
                f"{name} has {body:,} bytes, which are no {dtype} of shape {shape}"
            )
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # at the end the checksum is compared
    return array


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
