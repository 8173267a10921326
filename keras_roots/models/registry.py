"""The registry: every model's constructor and the layers of it that take groups."""

from collections.abc import Callable, Sequence

import keras

from keras_roots.models.topology import Grouped

_CONSTRUCTORS: dict[str, Callable[..., keras.Model]] = {}
_GROUPED: dict[str, Sequence[Grouped]] = {}


def register(name: str, grouped: Sequence[Grouped]) -> Callable:
    """Returns a decorator that registers a model constructor.

    Args:
        name: Name to register it under.
        grouped: Every convolution of the model that takes groups.
    """

    def decorate(constructor):
        _CONSTRUCTORS[name] = constructor
        _GROUPED[name] = grouped
        return constructor

    return decorate


def model_names() -> list[str]:
    """Returns the names of the registered models, sorted."""
    return sorted(_CONSTRUCTORS)


def get_constructor(name: str) -> Callable[..., keras.Model]:
    """Returns the constructor of a model.

    Raises:
        ValueError: No model has this name.
    """
    if not isinstance(name, str) or name not in _CONSTRUCTORS:
        raise ValueError(
            f"`name` must be one of {model_names()}, alone or as name:root or "
            f"name:root:topology, such as root_nin:8. Received: name={name!r}"
        )
    return _CONSTRUCTORS[name]


def grouped_layers(name: str) -> Sequence[Grouped]:
    """Returns every convolution of a model that takes groups.

    Raises:
        ValueError: No model has this name.
    """
    get_constructor(name)
    return _GROUPED[name]
