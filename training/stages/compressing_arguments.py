"""What `compress` is given, checked before any work: the network, images, numbers."""

import math
import numbers
import os
import tempfile
from collections.abc import Sequence

import keras
import numpy as np

from keras_roots import graph, utils
from keras_roots.groups import is_integer
from keras_roots.training import data, trainer

_SHOWN = 300  # characters of another's message
_TESTED = 5  # of so many training images, one tests where no test images are given


def check_model(model: keras.Model) -> int:
    """Checks that a network can be compressed, and returns the number of its classes.

    Args:
        model: The network.

    Raises:
        ValueError: It is no classifier of square colour images of a fixed size, or its
            layers cannot be reached.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: model={model!r}")
    graph.check_built(model)
    inputs, outputs = (
        [tuple(tensor.shape[1:]) for tensor in tensors]
        for tensors in (model.inputs, model.outputs)
    )
    height, width, channels = inputs[0] if len(inputs[0]) == 3 else (None, None, None)
    of_images = len(inputs) == 1 and height is not None and height == width
    if not of_images or channels != 3:
        raise ValueError(
            "`model` must take one batch of square colour images of a fixed size, "
            "channels last, for instance (32, 32, 3). "
            f"Received: model={model.name!r} with inputs {inputs}"
        )
    if len(outputs) != 1 or len(outputs[0]) != 1 or (outputs[0][0] or 0) < 2:
        raise ValueError(
            "`model` must return one batch of scores, (classes,), of two classes or "
            "more: a single sigmoid is a softmax of two. "
            f"Received: model={model.name!r} with outputs {outputs}"
        )
    _check_saved(model)
    return outputs[0][0]


def check_trained(model: keras.Model) -> None:
    """Checks that a network can be fine-tuned.

    Args:
        model: The network.

    Raises:
        ValueError: It has no weights to train, or its output is neither a softmax nor
            logits.
    """
    trainer.check_outputs(model)
    if not model.trainable_weights:
        raise ValueError(
            "`model` must have weights to train, or `epochs` be 0: "
            f"model.trainable = True. Received: model={model.name!r}, frozen"
        )


def _check_saved(model):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        try:
            model.save(path)
            utils.load_model(path)
        except Exception as error:
            # Keras quotes whole configurations, and then what went wrong with them.
            reason = str(error.__cause__ or error)
            reason = reason.rpartition("Exception encountered: ")[2][:_SHOWN]
            raise ValueError(
                "`model` must be one that Keras saves and loads: register layers and "
                "functions of yours with keras.saving.register_keras_serializable, "
                "and let a layer take the place of a Lambda with a lambda in it. "
                f"Received: model={model.name!r}, of which loading says: {reason}"
            ) from error


def check_numbers(
    latency, epochs, sample_images, distillation, threads, seed, layers
) -> None:
    """Checks the other arguments of `compress`, by the same names.

    Raises:
        ValueError: One of them is impossible.
    """
    if not isinstance(latency, numbers.Real) or not 0 < latency < 1:
        raise ValueError(
            "`latency` must be a part of the network's own time, between 0 and 1. "
            f"Received: latency={latency!r}"
        )
    least = {"epochs": 0, "sample_images": 1, "threads": 1, "seed": 0}
    given = (epochs, sample_images, threads, seed)
    for (name, smallest), value in zip(least.items(), given, strict=True):
        if not is_integer(value) or value < smallest:
            raise ValueError(
                f"`{name}` must be an integer, {smallest} or more. "
                f"Received: {name}={value!r}"
            )
    number = isinstance(distillation, numbers.Real)
    if not number or not 0 <= distillation < math.inf:
        raise ValueError(
            "`distillation` must be a finite weight, 0 or more. "
            f"Received: distillation={distillation!r}"
        )
    if not isinstance(layers, str):
        raise ValueError(
            "`layers` must be 'all', 'pointwise', 'spatial' or a regular expression "
            f"for names of layers, such as 'conv1|conv2'. Received: layers={layers!r}"
        )


def check_paths(**paths) -> None:
    """Checks paths by the names of their arguments; `None` stands for no path.

    Raises:
        ValueError: One is no path.
    """
    for name, path in paths.items():
        if not isinstance(path, str | os.PathLike | None):
            raise ValueError(f"`{name}` must be a path or None. Received: {path!r}")


def open_dataset(
    dataset: data.Dataset | str | Sequence[np.ndarray],
    data_dir: str | None,
    classes: int,
) -> data.Dataset:
    """Returns a data set by its name, or one of arrays.

    Args:
        dataset: As for `compress`.
        data_dir: Where TensorFlow Datasets keeps its data sets.
        classes: Classes of the network.

    Raises:
        ValueError: There is no such data set, or arrays are impossible.
    """
    if isinstance(dataset, data.Dataset):
        return dataset
    if isinstance(dataset, str):
        return data.open_dataset(dataset, data_dir)
    arrays = _arrays(dataset)
    for images, labels in zip(arrays[::2], arrays[1::2], strict=True):
        _check_arrays(images, labels, classes)
    if len(arrays) == 2:
        images, labels = arrays
        order = np.random.default_rng(0).permutation(len(labels))
        test = np.arange(len(labels)) % _TESTED == 0
        kept, tested = order[~test], order[test]
        arrays = [images[kept], labels[kept], images[tested], labels[tested]]
    train, test = (
        data.Arrays(images, labels.astype("int64"))
        for images, labels in (arrays[:2], arrays[2:])
    )
    names = tuple(map(str, range(classes)))
    return data.in_memory("arrays", names, train, test, 0)


def _arrays(dataset) -> list[np.ndarray]:
    listed = isinstance(dataset, tuple | list)  # others may be endless
    if not listed or len(dataset) not in (2, 4):
        received = type(dataset).__name__
        if listed:
            received += f" of {len(dataset)}"
    else:
        try:
            return [np.asarray(array) for array in dataset]
        except ValueError:  # nested, or lists of unequal length
            received = f"{type(dataset).__name__} of what is no array"
    raise ValueError(
        "`dataset` must be the name of a data set, (images, labels) or (images, "
        f"labels, test images, test labels), arrays. Received: {received}"
    )


def _check_arrays(images, labels, classes):
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
    if not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"Labels must be from 0 to {classes - 1}, the classes of the model. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )
