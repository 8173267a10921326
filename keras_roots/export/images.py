"""Images to calibrate an export with and to check it on."""

import numbers

import keras
import numpy as np

from keras_roots.utils import checks

# An endless data set must not keep an export from ending.
MOST_IMAGES = 1000
RANDOM_IMAGES = 16


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


def as_images(data, model: keras.Model, name: str) -> np.ndarray:
    """Returns images as one array, after checking that the model can take them.

    Args:
        data: Images `(n, height, width, channels)`, or an iterable (a `tf.data.Dataset`
            for instance) of batches of them, with labels or without. Only the first
            `MOST_IMAGES` images are used.
        model: The model to check against.
        name: The caller's name of `data`, for messages.

    Raises:
        ValueError: There are no images; their shape is not the model's; they hold
            values that are no numbers, or are not pixels 0 to 255 though the model
            normalises those.
    """
    shape = image_shape(model)
    images = checks.images(name, _gather(data, shape, name), shape)
    if takes_pixels(model):
        _check_pixels(images, model, name)
    return images


def random_images(model: keras.Model, count: int = RANDOM_IMAGES) -> np.ndarray:
    """Returns images of random pixels, or of normal numbers without normalisation.

    Args:
        model: The model that takes them; pixels if it starts by normalising those.
        count: Number of images.
    """
    rng = np.random.default_rng(0)
    size = (count, *image_shape(model))
    if takes_pixels(model):
        return rng.integers(0, 256, size).astype("float32")
    return rng.normal(size=size).astype("float32")


def takes_pixels(model: keras.Model) -> bool:
    """Tells whether a model starts by normalising pixels 0 to 255."""
    layer = _first_layer(model)
    if isinstance(layer, keras.layers.Rescaling):
        scale = np.abs(np.asarray(layer.scale, "float64"))
    elif isinstance(layer, keras.layers.Normalization) and layer.built:
        variance = keras.ops.convert_to_numpy(layer.variance)
        scale = 1 / np.sqrt(np.maximum(variance, 1e-12))
    else:
        return False
    return bool(0.5 <= 255 * scale.max() <= 16)


def _first_layer(model):
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        return _first_layer(layer) if isinstance(layer, keras.Model) else layer
    return None


def _check_pixels(images, model, name):
    low, high = images.min(), images.max()
    if low >= 0 and 1 < high <= 255:
        return
    advice = (
        "multiply it by 255" if low >= 0 and high <= 1 else "do not normalise it before"
    )
    raise ValueError(
        f"`{name}` must hold pixels from 0 to 255: the model's first layer, "
        f"{_first_layer(model).name!r}, normalises those; {advice}. "
        f"Received: values from {low:.4g} to {high:.4g}"
    )


def _gather(data, shape, name) -> np.ndarray:
    if hasattr(data, "__array__"):
        return _batch(data, shape, name)[:MOST_IMAGES]
    if isinstance(data, str | bytes | dict | numbers.Number):
        raise ValueError(_expected(name, shape) + f"Received: {type(data).__name__}")
    batches, count = [np.empty((0, *shape), "float32")], 0
    try:
        for batch in data:
            batch = batch[0] if isinstance(batch, tuple | list) else batch
            batches.append(_batch(batch, shape, name))
            count += len(batches[-1])
            if count >= MOST_IMAGES:
                break
    except TypeError as error:
        raise ValueError(
            _expected(name, shape) + f"Received: {type(data).__name__}"
        ) from error
    return np.concatenate(batches)[:MOST_IMAGES]


def _batch(batch, shape, name) -> np.ndarray:
    array = np.asarray(batch)
    if array.shape[1:] != shape or array.dtype.kind not in "uif":
        raise ValueError(
            _expected(name, shape)
            + f"Received: {array.dtype} array of shape {array.shape}"
        )
    return array.astype("float32")


def _expected(name, shape) -> str:
    sides = ", ".join(map(str, shape))
    return (
        f"`{name}` must be images as an array of shape (n, {sides}), or batches of "
        "them, with labels or without. "
    )
