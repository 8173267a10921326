"""The network that a command's flags ask for."""

import keras

from keras_roots.training import data, networks
from keras_roots.training.commands.flags import FLAGS

_NAMES = ("from", "model", "root", "topology", "weights", "image_size")


def check_trained() -> None:
    """Checks that the flags name one trained network.

    Raises:
        ValueError: They name none, or two.
    """
    if not FLAGS["from"].value and not FLAGS.weights:
        raise ValueError("Give --from, or --model with --weights: a trained network")
    if FLAGS["from"].value and FLAGS.weights:
        raise ValueError("Give --from, or --model with --weights, not both")


def describe() -> dict:
    """Returns the flags that name the network, for a run's directory to remember."""
    return {name: FLAGS[name].value for name in _NAMES}


def start_model(dataset: data.Dataset) -> keras.Model:
    """Loads or builds the network.

    Args:
        dataset: Tells the classes, and the size of the images where all have one.

    Raises:
        ValueError: The file is no Keras file, or a flag is impossible.
        OSError: ImageNet weights cannot be downloaded.
    """
    return networks.start_model(
        dataset,
        FLAGS["from"].value,
        name=FLAGS.model,
        root=FLAGS.root,
        topology=FLAGS.topology,
        weights=FLAGS.weights,
        image_size=FLAGS.image_size,
    )
