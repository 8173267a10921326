"""The network that a command starts from: a file, keras.applications' or the zoo's."""

import keras

from keras_roots import models
from keras_roots.training import applications, data
from keras_roots.utils import load_model


def start_model(
    dataset: data.Dataset,
    path: str | None = None,
    *,
    name: str = "root_nin",
    root: int | tuple[int, ...] = 1,
    topology: str = "root",
    weights: str | None = None,
    image_size: int | None = None,
) -> keras.Model:
    """Loads a Keras file, or builds a network for a data set.

    Args:
        dataset: Tells the classes, and the size of the images where all have one.
        path: A `.keras` file, or `"keras.applications.NAME"` for that network with its
            ImageNet weights; `None` to build a model of the zoo.
        name: Registry name of the model to build.
        root: Its filter groups.
        topology: Its topology.
        weights: Its weights: a released name or a file.
        image_size: Height and width of the images, if not the data set's or family's.

    Returns:
        The network, as `export.get_model` or `applications.start`.

    Raises:
        ValueError: The file is no Keras file, or an argument is impossible.
        OSError: ImageNet weights cannot be downloaded.
    """
    if applications.is_application(path):
        return applications.start(path, dataset, image_size)
    if image_size is None and not models.is_network(weights):
        image_size = dataset.image_size  # that of a released whole network is fixed
    return get_model(
        path,
        name=name,
        root=root,
        topology=topology,
        weights=weights,
        classes=len(dataset.class_names),
        image_size=image_size,
    )


def get_model(
    path: str | None = None,
    *,
    name: str = "root_nin",
    root: int | tuple[int, ...] = 1,
    topology: str = "root",
    weights: str | None = None,
    classes: int | None = None,
    image_size: int | None = None,
) -> keras.Model:
    """Loads a Keras file, or builds a model of the zoo.

    Args:
        path: A `.keras` file; `None` to build a model.
        name: Registry name of the model to build.
        root: Its filter groups.
        topology: Its topology.
        weights: Its weights: a released name or a file.
        classes: Number of classes, if not the family's.
        image_size: Height and width of the images, if not the family's.

    Raises:
        ValueError: The file is no Keras file, or an argument is impossible.
    """
    if path is not None:
        return load_model(path, "--from")
    arguments = {} if classes is None else {"classes": classes}
    if image_size is not None:
        shape = (image_size, image_size, 3)
        last = models.channel_axis() == -1
        arguments["input_shape"] = shape if last else shape[::-1]
    return models.create_model(
        name, root=root, topology=topology, weights=weights, **arguments
    )


def parse_model(text: str, **arguments) -> keras.Model:
    """Builds a model of the zoo, or of `keras.applications`.

    Args:
        text: As for `create_model`, for instance `"root_nin:8"`; or
            `"keras.applications.VGG16"`.
        **arguments: Other arguments of its constructor.

    Raises:
        ValueError: It stands for nothing.
    """
    if applications.is_application(text):
        return applications.create(text, **arguments)
    return models.create_model(text, **arguments)
