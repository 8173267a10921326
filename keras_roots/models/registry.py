"""The registry of models: find them by name, build them by name."""

import fnmatch
from collections.abc import Callable

import keras

_CONSTRUCTORS: dict[str, Callable[..., keras.Model]] = {}


def register(name: str) -> Callable:
    """Returns a decorator that registers a model constructor under `name`."""

    def decorate(constructor):
        _CONSTRUCTORS[name] = constructor
        return constructor

    return decorate


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the models, sorted.

    Args:
        pattern: Shell-style pattern that the names must match, such as
            `"root_resnet*"`.
    """
    return sorted(fnmatch.filter(_CONSTRUCTORS, pattern))


def get_constructor(name: str) -> Callable[..., keras.Model]:
    """Returns the constructor of a model.

    Raises:
        ValueError: No model has this name.
    """
    if name not in _CONSTRUCTORS:
        raise ValueError(
            f"`name` must be one of {list_models()}. Received: name={name!r}"
        )
    return _CONSTRUCTORS[name]


def create_model(name: str, **kwargs) -> keras.Model:
    """Builds a model by name.

    Args:
        name: One of `list_models()`.
        **kwargs: Arguments of its constructor, such as `root=8`.

    Raises:
        ValueError: No model has this name, or its constructor refuses an argument.

    Example:
        >>> create_model("root_nin", root=8).name
        'root_nin_8'
    """
    return get_constructor(name)(**kwargs)
