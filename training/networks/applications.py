"""Networks of keras.applications by name, and for the classes of a data set."""

import sys

import keras
import numpy as np

from keras_roots.training import data

PREFIX = "keras.applications."

# Height and width of the images that a network was trained on, where it is not 224.
_SIZES = {
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
    "InceptionResNetV2": 299,
    "InceptionV3": 299,
    "NASNetLarge": 331,
    "Xception": 299,
}


def is_application(text: str | None) -> bool:
    """Returns whether a text names a network of keras.applications."""
    return text is not None and text.startswith(PREFIX) and not text.endswith(".keras")


def names() -> list[str]:
    """Returns the names of keras.applications' networks, without the prefix."""
    return [
        name
        for name, value in vars(keras.applications).items()
        if name[0].isupper() and callable(value)
    ]


def create(text: str, **arguments) -> keras.Model:
    """Builds a network as keras.applications does.

    Args:
        text: `"keras.applications.NAME"`.
        **arguments: Arguments of its constructor; `weights` is `None` unless given.

    Raises:
        ValueError: There is no such network, or an argument is impossible.
    """
    return _constructor(text)(**{"weights": None, **arguments})


def default_size(text: str) -> int:
    """Returns the height and width of the images that a network was trained on.

    Args:
        text: `"keras.applications.NAME"`.
    """
    return _SIZES.get(text.removeprefix(PREFIX), 224)


def has_new_head(text: str | None, dataset: str) -> bool:
    """Returns whether the head of a network is new, with random weights.

    Args:
        text: The file or the name that the network starts from; `None` for the zoo.
        dataset: Name of the data set.

    Returns:
        Whether it is a network of keras.applications, and the data set not ImageNet,
        whose classes these networks were trained on.
    """
    return is_application(text) and dataset.split(":")[0] != "imagenet2012"


def start(
    text: str,
    dataset: data.Dataset,
    image_size: int | None = None,
    weights: str | None = "imagenet",
) -> keras.Model:
    """Builds a network with its ImageNet weights for the classes of a data set.

    The network takes pixels 0 to 255. What its family's `preprocess_input` does is in
    it: a Rescaling, named `"normalization"` as in the zoo's networks. Where a family
    takes BGR, the channels of the first kernel are reversed instead of the images'.

    Args:
        text: `"keras.applications.NAME"`.
        dataset: Tells the classes. For other classes than ImageNet's the network gets
            a softmax head with random weights.
        image_size: Height and width of the images; `None` for the data set's, else the
            network's own.
        weights: `"imagenet"`, or `None` for random weights.

    Returns:
        A functional model.

    Raises:
        ValueError: There is no such network, or none for images of that size.
        OSError: The weights are neither in Keras's cache nor can they be downloaded.
    """
    constructor = _constructor(text)
    size = image_size or dataset.image_size or default_size(text)
    images = keras.Input((size, size, 3))
    scale, offset, order = _normalisation(constructor)
    x = images
    if np.any(scale != 1) or np.any(offset):
        layer = keras.layers.Rescaling(
            scale.tolist(), offset.tolist(), name="normalization"
        )
        x = layer(images)
    new_head = has_new_head(text, dataset.name)
    top = {"include_top": False, "pooling": "avg"} if new_head else {}
    try:
        network = constructor(
            weights=weights, input_tensor=x, input_shape=images.shape[1:], **top
        )
    except ValueError as error:
        raise ValueError(
            f"{text} cannot start from images of {size} pixels (`image_size` gives "
            f"another size): {error}"
        ) from error
    except Exception as error:
        # What get_file raises where a download fails has no class of its own.
        if not isinstance(error, OSError) and type(error) is not Exception:
            raise
        raise OSError(
            f"Keras could not download the ImageNet weights of {text}: {error}. Where "
            "the network cannot be reached, put that file into ~/.keras/models "
            "($KERAS_HOME/models), where Keras looks first, or start from a .keras "
            f"file of a network that takes pixels 0 to 255. Received: path={text!r}"
        ) from error
    _reorder(network, order)
    if not new_head:
        return network
    classes = len(dataset.class_names)
    print(
        f"{text}: the head for {classes} classes has random weights; the network has "
        "to be trained before it is made cheaper"
    )
    head = keras.layers.Dense(classes, activation="softmax", name="predictions")
    return keras.Model(images, head(network.output), name=network.name)


def _constructor(text):
    name = text.removeprefix(PREFIX)
    if name not in names():
        raise ValueError(
            f"{PREFIX}NAME needs one of {', '.join(names())}. Received: {name!r}"
        )
    return getattr(keras.applications, name)


def _normalisation(constructor):
    """Derives a family's preprocessing from its values for black, red, green and blue.

    Returns:
        Its scale and offset by colour, and the place in the family's order of red,
        green and blue.
    """
    preprocess_input = sys.modules[constructor.__module__].preprocess_input
    colours = 255.0 * np.eye(4, 3, -1)
    black, *others = preprocess_input(
        colours.reshape(4, 1, 1, 3), data_format="channels_last"
    ).reshape(4, 3)
    gain = (np.array(others) - black) / 255.0
    order = np.abs(gain).argmax(axis=1)
    return gain[np.arange(3), order], black[order], order


def _reorder(network, order):
    """Reorders the input channels of the first kernel to red, green, blue."""
    if np.all(order == np.arange(3)):
        return
    first = next(
        layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)
    )
    kernel, *bias = first.get_weights()
    first.set_weights([kernel[:, :, order], *bias])
