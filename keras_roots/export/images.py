"""Images to calibrate an export with and to check it on."""

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import Samples
from keras_roots.export import signature
from keras_roots.export.input_range import input_ranges
from keras_roots.utils import checks

RANDOM_IMAGES = 16


def input_shapes(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """Returns the shape of one sample of each input, by its name in a model's files.

    Raises:
        ValueError: The model is not built, or takes inputs of any size.
    """
    graph.check_built(model)
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if any(None in shape for shape in shapes):
        raise ValueError(
            "`model` must take inputs of a fixed size: build it with `input_shape`, "
            "for instance (224, 224, 3). "
            f"Received: model={model.name!r} with inputs {shapes}"
        )
    return signature.by_name(model, shapes)


def image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Returns the shape of the one image that a model takes.

    Raises:
        ValueError: The model is not built, takes something else, or images of any size.
    """
    inputs = getattr(model, "inputs", None)
    shapes = [tuple(tensor.shape) for tensor in inputs or []]
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:]:
        raise ValueError(
            "`model` must be built and take one batch of images of a fixed size: build "
            "it with `input_shape`, for instance (224, 224, 3). "
            f"Received: model={getattr(model, 'name', model)!r} with inputs {shapes}"
        )
    return shapes[0][1:]


def check_sizes(model: keras.Model) -> None:
    """Checks that a model is built, and that its files can take and give batches.

    Raises:
        ValueError: Its inputs are of any size, or it takes batches of one size alone;
            an output has no row per image.
    """
    graph.check_built(model)
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if any(shape[0] is not None or None in shape[1:] for shape in shapes):
        raise ValueError(
            "`model` must take inputs of a fixed size in batches of any size: build "
            "it with `input_shape`, for instance (224, 224, 3), and no `batch_shape`. "
            f"Received: model={model.name!r} with inputs {shapes}"
        )
    shapes = [tuple(tensor.shape) for tensor in model.outputs]
    if any(not shape or shape[0] is not None for shape in shapes):
        raise ValueError(
            "`model` must have outputs of a row per image. "
            f"Received: model={model.name!r} with outputs {shapes}"
        )


def as_samples(data, model: keras.Model, name: str) -> Samples:
    """Returns samples of a model's inputs, after checking that it can take them.

    Warns, by `InputRangeWarning`, where values are of quite another range than the
    first layers of the model expect.

    Args:
        data: Samples in any form of `convolutions.Samples`.
        model: The model to check against.
        name: The caller's name of `data`, for messages.

    Raises:
        ValueError: There are no samples, they have other shapes than the model's
            inputs, or values that are no numbers.
    """
    samples = Samples.of(model, data, name)
    for expected, array in zip(input_ranges(model), samples.arrays, strict=True):
        if expected is not None:
            expected.warn(name, array)
    return samples


def random_samples(model: keras.Model, count: int = RANDOM_IMAGES) -> Samples:
    """Returns random samples of the range that the first layers of a model expect.

    Args:
        model: A model of inputs of fixed sizes. Without such layers, an input is given
            normal numbers, or zeros and ones if it takes integers.
        count: Number of samples.
    """
    checks.integer("count", count)
    graph.check_built(model)
    rng = np.random.default_rng(0)
    arrays = []
    for expected, tensor in zip(input_ranges(model), model.inputs, strict=True):
        size = (count, *tensor.shape[1:])
        whole = not keras.backend.is_float_dtype(tensor.dtype)
        if expected is not None:
            array = expected.random(size, rng)
            if whole:
                limits = np.iinfo(tensor.dtype)
                array = array.round().clip(limits.min, limits.max).astype(tensor.dtype)
        elif whole:
            array = rng.integers(0, 2, size).astype(tensor.dtype)
        else:
            array = rng.normal(size=size).astype("float32")
        arrays.append(array)
    return Samples(arrays, [tensor.dtype for tensor in model.inputs])


def as_images(data, model: keras.Model, name: str) -> np.ndarray:
    """Returns images as one array, after checking that the model can take them.

    Warns, by `InputRangeWarning`, where their values are of quite another range than
    the first layers of the model expect, as those of images normalised twice are.

    Args:
        data: Images `(n, height, width, channels)`, or batches of them, as for
            `convolutions.Samples`.
        model: The model to check against.
        name: The caller's name of `data`, for messages.

    Raises:
        ValueError: There are no images; their shape is not the model's; they hold
            values that are no numbers.
    """
    image_shape(model)
    return as_samples(data, model, name).arrays[0].astype("float32")


def random_images(model: keras.Model, count: int = RANDOM_IMAGES) -> np.ndarray:
    """Returns random images of the range that the first layers of a model expect.

    Args:
        model: The model that takes them; without such layers, the images are of normal
            numbers.
        count: Number of images.
    """
    image_shape(model)
    return random_samples(model, count).arrays[0]
