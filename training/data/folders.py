"""Data sets in folders: a folder of images per class."""

import functools
import os
from concurrent import futures
from pathlib import Path

import numpy as np

from keras_roots.training.data.splits import (
    Dataset,
    Photographs,
    check_classes,
    check_holdout,
    shuffled,
)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


def open_folder(folder: str, holdout: int = 0) -> Dataset:
    """Opens a folder with a folder of images per class.

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
            f"{', '.join(IMAGE_SUFFIXES)}. Found none"
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
    _check_readable(folder, [path for path, _ in train + test])
    evaluation = test
    if holdout:
        check_holdout(holdout, len(train))
        order = np.random.default_rng(0).permutation(len(train))
        evaluation = [train[i] for i in order[:holdout]]
        train = [train[i] for i in order[holdout:]]
    splits = (
        Photographs(len(files), functools.partial(_file_stream, files))
        for files in (train, evaluation, test)
    )
    return Dataset(folder, tuple(names), *splits)


def _files(root, names) -> list[tuple[str, int]]:
    return [
        (str(path), label)
        for label, name in enumerate(names)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]


def _check_readable(folder, paths):
    from PIL import Image

    def unreadable(path):
        try:
            with Image.open(path) as image:
                image.draft("RGB", (8, 8))  # JPEGs decode at an eighth of their size
                image.load()
        except Exception:
            return path
        return None

    with futures.ThreadPoolExecutor() as executor:
        bad = [path for path in executor.map(unreadable, paths) if path]
    if bad:
        raise ValueError(
            f"`dataset` folder {folder!r} has {len(bad)} unreadable images: "
            f"{', '.join(bad[:5])}{', ...' if len(bad) > 5 else ''}"
        )


def _file_stream(files, seed):
    import tensorflow as tf

    paths, labels = zip(*files, strict=True)
    columns = [tf.constant(paths), tf.constant(labels, "int64")]
    return tf.data.Dataset.from_tensor_slices(shuffled(columns, seed)).map(
        lambda path, label: (tf.io.read_file(path), label),
        num_parallel_calls=os.cpu_count(),
    )
