"""Models by name: which there are, and building one."""

import fnmatch
import inspect

import keras

from keras_roots.models import registry, released
from keras_roots.models.name import NetworkName
from keras_roots.utils import checks


def list_models(pattern: str = "*", weights: str | None = None) -> list[str]:
    """Returns the names of the models, sorted.

    Args:
        pattern: Shell-style pattern that the names must match, such as
            `"root_resnet*"`.
        weights: Name of released weights, such as `"cifar10"`: lists what was released
            under it, as `"name:root"` or `"name:root:topology"`, which `create_model`
            takes with the same `weights`.

    Raises:
        ValueError: Nothing was released as `weights`, or the pattern is no text.

    Example:
        >>> list_models("root_conv*", weights="cifar10")
        ['root_convnet:1']
    """
    checks.text("pattern", pattern)
    names = registry.model_names() if weights is None else released.names(weights)
    return sorted(
        fnmatch.filter(names, pattern),
        key=lambda name: NetworkName.parse(name).sort_key,
    )


def create_model(name: str, **kwargs) -> keras.Model:
    """Builds a model by name.

    Args:
        name: One of `list_models()`, alone or with its filter groups and topology:
            `"root_nin:8"`, `"root_nin:8:tree"`, or stage by stage, `"root_nin:8x4"`.
        **kwargs: Arguments of its constructor, such as `root=8`. `weights` may also be
            those of a decomposed network, which is loaded whole; beside them only
            `root`, `topology` and `classes` can be given.

    Raises:
        ValueError: No model has this name, or its constructor refuses an argument.

    Example:
        >>> create_model("root_nin:8").name
        'root_nin_8'
    """
    parsed = NetworkName.parse(name)
    twice = sorted(parsed.arguments.keys() & kwargs.keys())
    if twice:
        raise ValueError(
            f"`{twice[0]}` is in the name already. "
            f"Received: name={name!r}, {twice[0]}={kwargs[twice[0]]!r}"
        )
    constructor = registry.get_constructor(parsed.model)
    known = inspect.signature(constructor).parameters
    unknown = sorted(kwargs.keys() - known.keys())
    if unknown:
        raise ValueError(
            f"{parsed.model} takes the arguments {', '.join(known)}. "
            f"Received: {unknown[0]}={kwargs[unknown[0]]!r}"
        )
    arguments = parsed.arguments | kwargs
    if not released.is_network(arguments.get("weights")):
        return constructor(**arguments)
    root, topology = (arguments.pop(key, None) for key in ("root", "topology"))
    return released.load_network(NetworkName(parsed.model, root, topology), **arguments)
