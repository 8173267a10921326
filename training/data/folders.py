"""Data sets in folders: a folder of images per class."""

import functools
import os
from concurrent import futures
from pathlib import Path

import numpy as np

from keras_roots.training.data import image_files
from keras_roots.training.data.splits import (
    Dataset,
    Photographs,
    check_classes,
    check_holdout,
    shuffled,
)


def open_folder(folder: str, holdout: int = 0) -> Dataset:
    """Opens a folder with a folder of images per class.

    Every image is read once, so that a damaged one is found at the start. What files
    hold counts, not how they are named; photographs are turned upright as their EXIF
    says, transparency is left out, palettes and CMYK become RGB, 16 bits the upper 8.

    Args:
        folder: The folder; classes are in it, or in `train` and `validation` under it.
        holdout: As for `open_dataset`.

    Raises:
        ValueError: Its content is unusable.
    """
    root = Path(folder)
    train_root = root / "train" if (root / "train").is_dir() else root
    test_root = next(
        (root / s for s in ("validation", "val", "test") if (root / s).is_dir()), None
    )
    names = sorted(path.name for path in train_root.iterdir() if path.is_dir())
    if train_root is root and test_root is not None:
        raise ValueError(
            f"`dataset` folder {folder!r} has {test_root.name!r} but no 'train'"
        )
    train = _files(train_root, names)
    if not train:
        raise ValueError(
            f"`dataset` folder {folder!r} must hold a folder of images per class, "
            "optionally under 'train' and 'validation'; images end in "
            f"{', '.join(image_files.SUFFIXES)}. Found none"
        )
    check_classes(folder, len({label for _, label in train}))
    if test_root is None:
        order = np.random.default_rng(0).permutation(len(train))
        test = [train[i] for i in order[: len(train) // 5]]
        train = [train[i] for i in order[len(train) // 5 :]]
    else:
        test = _files(test_root, names)
    if not test:
        raise ValueError(f"`dataset` folder {folder!r} has no images to test on")
    decoded = _decoded(folder, [path for path, _ in train + test])
    evaluation = test
    if holdout:
        check_holdout(holdout, len(train))
        order = np.random.default_rng(0).permutation(len(train))
        evaluation = [train[i] for i in order[:holdout]]
        train = [train[i] for i in order[holdout:]]
    splits = (
        Photographs(len(files), functools.partial(_file_stream, files, decoded))
        for files in (train, evaluation, test)
    )
    return Dataset(folder, tuple(names), *splits)


def _files(root, names) -> list[tuple[str, int]]:
    return [
        (str(path), label)
        for label, name in enumerate(names)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in image_files.SUFFIXES
    ]


def _decoded(folder, paths) -> dict[str, bool]:
    """Reads every image, and returns whether TensorFlow decodes it as it is."""
    bad = []

    def read(path):
        try:
            return image_files.is_decoded(path)
        except ValueError as error:
            bad.append(str(error))
            return False

    with futures.ThreadPoolExecutor() as executor:
        decoded = dict(zip(paths, executor.map(read, paths), strict=True))
    if bad:
        raise ValueError(
            f"`dataset` folder {folder!r} has {len(bad)} unreadable images: "
            f"{', '.join(sorted(bad)[:5])}{', ...' if len(bad) > 5 else ''}"
        )
    return decoded


def _file_stream(files, decoded, seed):
    import tensorflow as tf

    paths, labels = zip(*files, strict=True)
    native = [decoded[path] for path in paths]
    columns = [tf.constant(paths), tf.constant(labels, "int64"), tf.constant(native)]

    def read(path, label, native):
        return tf.cond(
            native, lambda: tf.io.read_file(path), lambda: as_png(path)
        ), label

    def as_png(path):
        return tf.ensure_shape(
            tf.numpy_function(image_files.to_png, [path], tf.string), ()
        )

    return tf.data.Dataset.from_tensor_slices(shuffled(columns, seed)).map(
        read, num_parallel_calls=os.cpu_count()
    )
