"""Samples without labels: a folder of images, or arrays in an `.npz` file."""

import contextlib
import dataclasses
import io
import os
from concurrent import futures

import keras
import numpy as np

from keras_roots.convolutions import Samples
from keras_roots.training.data import image_files
from keras_roots.training.data.npz import list_npz, read_npz
from keras_roots.training.options import option, options

_MOST = 2000  # samples that are read, chosen at random


@dataclasses.dataclass(frozen=True)
class Unlabelled:
    """What takes the place of a data set for a network of any task.

    Attributes:
        name: Path that it was opened by.
        fitted: Samples to fit to.
        held_out: Samples to compare networks on.
        original: The network that others are compared with.
    """

    name: str
    fitted: Samples
    held_out: Samples
    original: keras.Model
    # It has no splits with labels.
    evaluation: None = None
    test: None = None

    def reading(self) -> contextlib.AbstractContextManager:
        """Does nothing, as `Arrays.reading`: all samples are in memory."""
        return contextlib.nullcontext()

    def sample(self, model: keras.Model, count: int, seed: int) -> Samples:
        """Returns samples to fit to, the first of an order that is random already.

        Args:
            model: The network, which takes them all as they are.
            count: How many, at most.
            seed: Not used.
        """
        del model, seed
        return self.fitted.take(count)


@options
class WithoutLabels:
    """Samples that take the place of a data set."""

    images: str | None = option(
        None,
        "In place of a data set, for a trained network of any task, without labels: a "
        "folder of images, which are resized and have pixels 0 to 255, or an .npz file "
        "of arrays as the network takes them, by the names of its inputs where it has "
        "several. Up to 2,000 samples are read.",
    )

    def open(self, model: keras.Model, seed: int) -> Unlabelled:
        """Opens the samples, as `open_unlabelled` does."""
        return open_unlabelled(self.images, model, seed)


def open_unlabelled(path: str, model: keras.Model, seed: int = 0) -> Unlabelled:
    """Opens samples of a network's inputs, at most 2,000, chosen at random.

    Args:
        path: A folder with images in it or in folders under it, for a network that
            takes `(height, width, 3)` or grey `(height, width, 1)`: they are resized,
            their shape kept by cutting off what is too long, pixels 0 to 255. Or an
            `.npz` file of arrays `(n, ...)` as the network takes them, one of any name,
            or one per input by its name.
        model: The original, a functional or Sequential network.
        seed: Seed of the choice, and of the samples that are held out: a fifth, 500 at
            most.

    Raises:
        ValueError: There is no such path, its content is unusable or does not fit the
            network.
    """
    if os.path.isdir(path):
        found = _read_folder(path, model, seed)
    elif path.endswith(".npz") and os.path.isfile(path):
        found = _read_arrays(path, model, seed)
    else:
        raise ValueError(
            "`images` must be a folder of images or an .npz file, which exists. "
            f"Received: {path!r}"
        )
    fitted, held_out = Samples.of(model, found, f"images in {path}").split(seed)
    return Unlabelled(path, fitted, held_out, model)


def _read_arrays(path, model, seed):
    names = [tensor.name for tensor in model.inputs]
    held = list_npz("images", path)
    stored = held if len(names) == len(held) == 1 else names
    if not set(stored) <= set(held):
        raise ValueError(
            f"`images` file {path!r} must hold an array for each of the network's "
            f"inputs, {names}. Received: {sorted(held)}"
        )
    arrays = read_npz("images", path, stored)
    arrays = dict(zip(names, arrays.values(), strict=True))
    counts = {name: len(arrays[name]) if arrays[name].ndim else 0 for name in names}
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"`images` file {path!r} must hold as many samples for every input. "
            f"Received: {counts}"
        )
    chosen = _choose(counts[names[0]], seed)
    found = tuple(arrays[name][chosen] for name in names)
    return found if len(found) > 1 else found[0]


def _read_folder(folder, model, seed) -> np.ndarray:
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    fits = len(shapes) == 1 and len(shapes[0]) == 3 and None not in shapes[0]
    if not fits or shapes[0][-1] not in (1, 3):
        raise ValueError(
            "`images` may be a folder for a network that takes images of one size, "
            "(height, width, 3) or (height, width, 1): for others an .npz file of "
            f"arrays. Received: a folder, and a network with inputs {shapes}"
        )
    skipped = image_files.Skipped()
    files = image_files.list_images(folder, skipped)
    skipped.tell("images", folder)
    if not files:
        raise ValueError(
            f"`images` folder {folder!r} must hold images, which end in "
            f"{', '.join(image_files.SUFFIXES)}. Found none"
        )
    chosen = [files[index] for index in _choose(len(files), seed)]
    with futures.ThreadPoolExecutor() as executor:
        read = list(executor.map(lambda path: _read(path, shapes[0]), chosen))
    image_files.check_readable("images", folder, read)
    return np.stack(read)


def _read(path, shape) -> np.ndarray | image_files.Unreadable:
    """An image as the network takes it, or why it cannot be read."""
    from PIL import Image, ImageOps

    height, width, channels = shape
    try:
        image = Image.open(io.BytesIO(image_files.to_png(path)))
        fitted = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    except Exception as error:
        return image_files.Unreadable(path, error)
    pixels = np.asarray(fitted.convert("RGB" if channels == 3 else "L"))
    return pixels.reshape(shape)


def _choose(count, seed) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(count)[:_MOST])
