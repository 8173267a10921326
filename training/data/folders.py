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
from keras_roots.utils import is_installed

_TESTS = ("validation", "val", "test")  # folders to test on, the first there is


def open_folder(folder: str, holdout: int = 0) -> Dataset:
    """Opens a folder with a folder of images per class.

    Every image is read once, so that a damaged one is found at the start. What files
    hold counts, not how they are named; photographs are turned upright as their EXIF
    says, transparency is left out, palettes and CMYK become RGB, 16 bits the upper 8.
    Folders without images and what `image_files.list_images` leaves out are told.

    Args:
        folder: The folder; classes are in it, or in `train` and `validation` under it.
        holdout: As for `open_dataset`.

    Raises:
        ValueError: Its content is unusable.
        ImportError: TensorFlow is not installed.
    """
    if not is_installed("tensorflow"):
        raise ImportError(
            f"`dataset` folder {folder!r} would be streamed by TensorFlow: pip install "
            "'keras_roots[tensorflow]', or save its images in an .npz file"
        )
    root = Path(folder)
    train_root = root / "train" if (root / "train").is_dir() else root
    test_root = next((root / s for s in _TESTS if (root / s).is_dir()), None)
    if train_root is root and test_root is not None:
        raise ValueError(
            f"`dataset` folder {folder!r} has {test_root.name!r} but no 'train'"
        )
    skipped = image_files.Skipped()
    classes = _classes(train_root, skipped)
    names = tuple(classes)
    train = _labelled(classes, names)
    if not train:
        raise ValueError(
            f"`dataset` folder {folder!r} must hold a folder of images per class, "
            "optionally under 'train' and 'validation'; images end in "
            f"{', '.join(image_files.SUFFIXES)}. Found none"
        )
    check_classes(folder, len(names), len(train))
    if test_root is None:
        order = np.random.default_rng(0).permutation(len(train))
        test = [train[i] for i in order[: len(train) // 5]]
        train = [train[i] for i in order[len(train) // 5 :]]
    else:
        tested = _classes(test_root, skipped)
        unknown = [name for name in tested if name not in classes]
        if unknown:
            raise ValueError(
                f"`dataset` folder {folder!r} has images to test on in "
                f"{test_root.name!r} of {unknown}, classes without images to train on "
                f"in {train_root.name!r}: add some, or move these folders away"
            )
        test = _labelled(tested, names)
    if not test:
        raise ValueError(f"`dataset` folder {folder!r} has no images to test on")
    skipped.tell("dataset", folder)
    paths = [path for path, _ in train + test]
    decoded = _decoded(folder, paths)

    def split(files):
        return Photographs(
            len(files),
            functools.partial(_file_stream, files, decoded),
            functools.partial(_decoded, folder, [path for path, _ in files]),
            np.array([label for _, label in files]),
        )

    test = split(test)
    if not holdout:
        return Dataset(folder, names, split(train), test, test)
    check_holdout(holdout, len(train))
    order = np.random.default_rng(0).permutation(len(train))
    held, kept = ([train[i] for i in part] for part in np.split(order, [holdout]))
    return Dataset(folder, names, split(kept), split(held), test)


def _classes(root, skipped) -> dict[str, list[str]]:
    """Returns the images of each class that has some."""
    found, above = {}, os.path.realpath(root)
    for name in sorted(os.listdir(root)):
        path = root / name
        if not path.is_dir():
            continue
        if image_files.is_hidden(name):
            skipped.add(image_files.HIDDEN, path)
            continue
        if f"{above}{os.sep}".startswith(f"{os.path.realpath(path)}{os.sep}"):
            skipped.add(image_files.CIRCLES, path)
            continue
        images = image_files.list_images(path, skipped)
        if not images:
            skipped.add("folders without images, which are no classes", path)
            continue
        # Names are in UTF-8, also where the host's locale is another.
        name = os.fsencode(name).decode("utf-8", "surrogateescape")
        if image_files.printable(name) != name:
            raise ValueError(
                "`dataset` must name its classes by folders whose names can be "
                f"printed, in UTF-8: rename {os.fsencode(path)!r}"
            )
        found[name] = images
    _check_apart(found)
    return found


def _check_apart(classes) -> None:
    """Checks that links put no folder into two classes."""
    owners = {}
    for name, images in classes.items():
        for where in {os.path.dirname(path) for path in images}:
            owner = owners.setdefault(os.path.realpath(where), name)
            if owner != name:
                raise ValueError(
                    f"`dataset` has the images in {where!r} in two classes, {owner!r} "
                    f"and {name!r}: remove the link"
                )


def _labelled(classes, names) -> list[tuple[str, int]]:
    return [
        (path, label)
        for label, name in enumerate(names)
        for path in classes.get(name, ())
    ]


def _decoded(folder, paths) -> dict[str, bool]:
    """Reads every image, and returns whether TensorFlow decodes it as it is."""

    def read(path):
        try:
            return image_files.is_decoded(path)
        except ValueError as error:
            return image_files.Unreadable(path, error)

    with futures.ThreadPoolExecutor() as executor:
        decoded = dict(zip(paths, executor.map(read, paths), strict=True))
    image_files.check_readable("dataset", folder, decoded.values())
    return decoded


def _file_stream(files, decoded, seed):
    import tensorflow as tf

    paths, labels = zip(*files, strict=True)
    native = [decoded[path] for path in paths]
    # Bytes: names of files need not be UTF-8.
    columns = [
        tf.constant([os.fsencode(path) for path in paths]),
        tf.constant(labels, "int64"),
        tf.constant(native),
    ]

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
