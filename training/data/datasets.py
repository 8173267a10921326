"""Data sets by name: arrays in memory, or streams of encoded photographs.

Small data sets are arrays and need no TensorFlow; large ones are streamed by it.
"""

import os

import numpy as np

from keras_roots.training.data import embedded, folders, npz, tfds
from keras_roots.training.data.splits import Arrays, Dataset, in_memory
from keras_roots.training.options import option, options
from keras_roots.utils import checks

# Data sets that documents and recipes name: no folder takes their place.
_NAMES = (*embedded.DATASETS, "cifar10", "imagenette", "imagenet2012")


@options
class Location:
    """Which data set, and where it lies."""

    dataset: str = option(
        "digits",
        "digits, cifar10-sample (embedded), cifar10, imagenette/160px-v2, imagenet2012 "
        "(TensorFlow Datasets), an .npz file, or a folder, ./NAME, with a folder of "
        "images per class, optionally under train/ and validation/.",
    )
    data_dir: str | None = option(
        None, "Where TensorFlow Datasets keeps its data sets."
    )

    def open(self) -> Dataset:
        """Opens the data set, as `open_dataset` does."""
        return open_dataset(self.dataset, self.data_dir)


@options
class Source(Location):
    """Which data set to train on, and what of it is held out."""

    holdout: int = option(
        0,
        "Training images to hold out and evaluate on instead of the test images.",
        least=0,
    )

    def open(self) -> Dataset:
        """Opens the data set, as `open_dataset` does."""
        return open_dataset(self.dataset, self.data_dir, self.holdout)


def open_dataset(name: str, data_dir: str | None = None, holdout: int = 0) -> Dataset:
    """Opens a data set.

    Args:
        name: `"digits"` or `"cifar10-sample"`, which are embedded; the name of a
            TensorFlow Datasets image classification data set, such as `"cifar10"` or
            `"imagenette/160px-v2"`, which is downloaded if it is not prepared; an
            `.npz` file with `x_train`, `y_train`, `x_test` and `y_test`; or a folder
            with a folder of images per class, optionally under `train` and
            `validation` (else every fifth image is for testing). A folder is a path
            with a separator, `"./flowers"`, so that none has the name of a data set.
        data_dir: Where TensorFlow Datasets keeps its data sets; by default its own
            default.
        holdout: Number of training images to hold out and evaluate on instead of the
            test split; the choice is random, and always the same.

    Raises:
        ValueError: There is no such data set, or its content is unusable.
    """
    checks.integer("holdout", holdout, least=0)
    if name in embedded.DATASETS:
        names, *splits = embedded.DATASETS[name]()
        return in_memory(name, names, *(Arrays(*split) for split in splits), holdout)
    if name.endswith(".npz"):
        return npz.open_npz(name, holdout)
    if _is_folder(name, data_dir):
        return folders.open_folder(name, holdout)
    if name == "cifar10":
        return tfds.open_cifar10(data_dir, holdout)
    return tfds.open_photographs(name, data_dir, holdout)


def _is_folder(name, data_dir) -> bool:
    """Tells whether a data set is a folder, and not the name of one.

    Raises:
        ValueError: It is a path that does not exist, or the path of a folder as a name.
    """
    exists = os.path.isdir(name)
    if os.path.isabs(name) or name.split("/")[0] in (".", "..", "~", ""):
        if not exists:
            raise ValueError(f"`dataset` is a path that does not exist: {name!r}")
        return True
    known = name.split("/")[0].partition(":")[0] in _NAMES
    if not exists or known or tfds.is_prepared(name, data_dir):
        return False
    if checks.is_bare(name):
        raise ValueError(
            "`dataset` must be the name of a data set, or a path with a separator. "
            f"Received: {name!r}; write './{name}' for the folder of that name"
        )
    return True


def model_arguments(dataset: Dataset, image_size: int | None = None) -> dict:
    """Returns the arguments of a constructor that fit a model to a data set.

    Args:
        dataset: The data set.
        image_size: Height and width of the images, if not the data set's own.
    """
    arguments = {"classes": len(dataset.class_names)}
    size = image_size or dataset.image_size
    if size is not None:
        arguments["input_shape"] = (size, size, 3)
    return arguments


def sample_images(
    dataset: str,
    count: int,
    *,
    split: str = "train",
    data_dir: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns images of a data set, for instance to calibrate a quantisation.

    Args:
        dataset: As for `open_dataset`.
        count: Number of images.
        split: `"train"` or `"test"`.
        data_dir: As for `open_dataset`.
        image_size: Height and width in pixels; `None` for the data set's own, or 224.
        seed: Seed of the choice.

    Returns:
        float32 `(count, height, width, 3)`, pixels 0 to 255; fewer where the split has
        fewer.

    Raises:
        ValueError: There is no such data set or split, or its content is unusable.
    """
    checks.choice("split", split, ("train", "test"))
    checks.integer("count", count)
    chosen = getattr(open_dataset(dataset, data_dir), split)
    return chosen.sample(count, image_size, seed)
