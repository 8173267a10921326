"""Sample images, and a copy of a model that runs on them operation by operation."""

from collections.abc import Iterator

import keras
import numpy as np

from keras_roots import graph
from keras_roots.layers import GroupedConv2D
from keras_roots.utils import checks


def check_images(model: keras.Model, images) -> np.ndarray:
    """Returns images as an array, after checking that a model can take them.

    Args:
        model: A functional model, or a Sequential one that is built, with one input.
        images: Images `(n, height, width, channels)`, as the model takes them.

    Raises:
        ValueError: There are no images, their shape is not the model's, or they hold
            values that are no numbers; the model has several inputs or no graph.
    """
    graph.check_built(model)
    if len(model.inputs) != 1:
        raise ValueError(
            "`model` must have one input, for the images. "
            f"Received: model={model.name!r} with {len(model.inputs)} inputs"
        )
    return checks.images("images", images, model.inputs[0].shape[1:])


def batches(
    model: keras.Model, images: np.ndarray, batch_size: int
) -> Iterator[np.ndarray]:
    """Yields images in batches of nearly equal size, as tensors for a model.

    Args:
        model: The model that takes them.
        images: Images, checked.
        batch_size: Images per batch, at most.

    Raises:
        ValueError: `batch_size` is no positive integer.
    """
    checks.integer("batch_size", batch_size)
    for batch in np.array_split(images, -(-len(images) // batch_size)):
        yield keras.ops.convert_to_tensor(batch, dtype=model.inputs[0].dtype)


def runnable(model: keras.Model) -> keras.Model:
    """Returns a copy of a model whose grouped convolutions run fast one by one.

    Names, and the order of the weights, are the model's.
    """

    def replace(layer):
        if type(layer) is keras.layers.Conv2D and layer.groups > 1:
            return GroupedConv2D.from_config(graph.configuration(layer))
        return None

    return graph.rewrite(model, replace)


def infer(operation: keras.Operation, args: tuple, kwargs: dict):
    """Calls an operation in inference mode, as `model(images, training=False)` does."""
    if "training" in kwargs:
        kwargs = {**kwargs, "training": False}
    return operation(*args, **kwargs)
