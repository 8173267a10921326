"""The network that the flags of a command name."""

from keras_roots.training import networks
from keras_roots.training.commands.flags import FLAGS
from keras_roots.training.options import limits_of


def start() -> networks.Start:
    """Returns the options of the flags."""
    return networks.Start(
        **{
            field.name: FLAGS[limits.flag or field.name].value
            for field, limits in limits_of(networks.Start).items()
        }
    )
