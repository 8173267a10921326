"""The registry of models: find them by name, build them by name."""

import fnmatch
import inspect
import re
from collections.abc import Callable, Sequence

import keras

from keras_roots.models import released
from keras_roots.models.topology import Grouped, assign_groups

_CONSTRUCTORS: dict[str, Callable[..., keras.Model]] = {}
_GROUPED: dict[str, Sequence[Grouped]] = {}
_NAME = re.compile(r"(\w+)(?::(\d+(?:x\d+)*)(?::([a-z]+))?)?")


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


def list_models(pattern: str = "*", weights: str | None = None) -> list[str]:
    """Returns the names of the models, sorted.

    Args:
        pattern: Shell-style pattern that the names must match, such as
            `"root_resnet*"`.
        weights: Name of released weights, such as `"cifar10"`: lists what was released
            under it, as `"name:root"` or `"name:root:topology"`, which `create_model`
            takes with the same `weights`.

    Raises:
        ValueError: Nothing was released as `weights`.

    Example:
        >>> list_models("root_conv*", weights="cifar10")
        ['root_convnet:1']
    """
    names = _CONSTRUCTORS if weights is None else released.names(weights)
    return sorted(fnmatch.filter(names, pattern), key=_sorting_key)


def get_constructor(name: str) -> Callable[..., keras.Model]:
    """Returns the constructor of a model.

    Raises:
        ValueError: No model has this name.
    """
    if name not in _CONSTRUCTORS:
        raise ValueError(
            f"`name` must be one of {list_models()}, alone or as name:root or "
            f"name:root:topology, such as root_nin:8. Received: name={name!r}"
        )
    return _CONSTRUCTORS[name]


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
    model, arguments = parse_name(name)
    twice = sorted(arguments.keys() & kwargs.keys())
    if twice:
        raise ValueError(
            f"`{twice[0]}` is in the name already. "
            f"Received: name={name!r}, {twice[0]}={kwargs[twice[0]]!r}"
        )
    constructor = get_constructor(model)
    arguments |= kwargs
    if not released.is_network(arguments.get("weights")):
        return constructor(**arguments)
    defaults = inspect.signature(constructor).parameters
    root = arguments.pop("root", defaults["root"].default)
    topology = arguments.pop("topology", defaults["topology"].default)
    groups = assign_groups(root, _GROUPED[model], topology)
    return released.load_network(model, groups, **arguments)


def groups(name: str) -> tuple[int, ...]:
    """Returns the filter groups of each stage of a model.

    Args:
        name: The model's name with its groups, such as `"root_nin:8"`.

    Raises:
        ValueError: No model has this name, or its layers cannot have these groups.

    Example:
        >>> groups("root_nin:8")
        (8, 4)
    """
    model, arguments = parse_name(name)
    get_constructor(model)
    return assign_groups(layers=_GROUPED[model], **arguments)


def parse_name(name: str) -> tuple[str, dict]:
    """Splits a name such as `"root_nin:8:tree"` into model and arguments.

    Args:
        name: As for `create_model`.

    Returns:
        The part before the groups, and the arguments that the rest stands for: `root`,
        an integer or a tuple, and `topology`, if it names one.

    Raises:
        ValueError: It is no such name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            "`name` must be a model's, alone or as name:root or name:root:topology, "
            f"such as root_nin:8, root_nin:8x4 or root_nin:8:tree. Received: {name!r}"
        )
    model, root, topology = match.groups()
    arguments = {}
    if root is not None:
        groups = tuple(map(int, root.split("x")))
        arguments["root"] = groups if len(groups) > 1 else groups[0]
    if topology is not None:
        arguments["topology"] = topology
    return model, arguments


def _sorting_key(name):
    """Sorts `root_nin:8` before `root_nin:16`, and topologies one after the other."""
    model, arguments = parse_name(name)
    root = arguments.get("root", ())
    groups = root if isinstance(root, tuple) else (root,)
    return model, arguments.get("topology", ""), groups
