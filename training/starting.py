"""The network that a command starts from: a file, keras.applications' or the zoo's."""

import keras

from keras_roots.models import released
from keras_roots.training import applications, data, export


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
    if image_size is None and not released.is_network(weights):
        image_size = dataset.image_size  # that of a released whole network is fixed
    return export.get_model(
        path,
        name=name,
        root=root,
        topology=topology,
        weights=weights,
        classes=len(dataset.class_names),
        image_size=image_size,
    )
