"""The network that a command starts from: a file, or the zoo's for a data set."""

import keras

from keras_roots.models import released
from keras_roots.training import data, export


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
    """Loads a Keras file, or builds a model of the zoo for a data set.

    Args:
        dataset: Tells the classes, and the size of the images where all have one.
        path: A `.keras` file; `None` to build a model.
        name: Registry name of the model to build.
        root: Its filter groups.
        topology: Its topology.
        weights: Its weights: a released name or a file.
        image_size: Height and width of the images, if not the data set's or family's.

    Returns:
        The network, as `export.get_model`.

    Raises:
        ValueError: The file is no Keras file, or an argument is impossible.
    """
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
