"""Which method each convolution or Dense layer of a model is decomposed by."""

from collections.abc import Callable, Collection, Mapping, Sequence

import keras

from keras_roots import graph
from keras_roots.convolutions import (
    KERNEL_LAYERS,
    Convolution,
    Layers,
    find_convolutions,
    kernel_layers,
)
from keras_roots.lowrank.methods import METHODS
from keras_roots.utils import checks

Methods = str | Sequence[str] | Mapping[str, str] | Callable[[keras.Layer], str | None]

COSTS = ("macs", "latency", None)


def check_arguments(error, method, ranks, cost, budget, rank_multiple) -> None:
    """Checks the arguments of `plan_decomposition` that can be without the model.

    Raises:
        ValueError: One is impossible, or two exclude each other.
    """
    if ranks is not None and budget is not None:
        raise ValueError(
            "`ranks` and `budget` exclude each other: give the ranks, or have them "
            f"chosen for a budget. Received: ranks={ranks!r}, budget={budget!r}"
        )
    if budget is not None:
        checks.part("budget", budget)
    elif ranks is None:
        checks.part("error", error)
    elif not isinstance(ranks, Mapping):
        raise ValueError(
            "`ranks` must map names of layers to ranks, such as {'conv2': 8}. "
            f"Received: ranks={ranks!r}"
        )
    checks.choice("cost", cost, COSTS)
    checks.integer("rank_multiple", rank_multiple)
    if isinstance(method, list | tuple):
        checks.choices("method", method, METHODS)
        if ranks is not None and len(method) > 1:
            raise ValueError(
                "`method` must be one, or one per layer, where `ranks` are given. "
                f"Received: method={method!r}"
            )
    elif not isinstance(method, Mapping) and not callable(method):
        checks.choice("method", method, METHODS)


def layers_to_consider(
    model: keras.Model,
    layers: Layers,
    method: Methods,
    ranks: Mapping[str, int] | None,
    budget: float | None,
) -> dict[str, keras.Layer]:
    """Returns the layers that may be decomposed, by name.

    Papers decompose convolutions. Dense layers take part where they are named, and
    hidden ones for a budget.

    Args:
        model: A functional or Sequential model.
        layers: As for `plan_decomposition`, like all that follow.
        method: Whose names count, if it is a mapping.
        ranks: Whose names count.
        budget: Whether there is one.

    Raises:
        ValueError: There is no such layer.
    """
    names = {*(ranks or ()), *(method if isinstance(method, Mapping) else ())}
    every = kernel_layers(model)
    dense = [
        name
        for name, layer in every.items()
        if name in names and isinstance(layer, keras.layers.Dense)
    ]
    if layers is not None or not dense:
        return find_convolutions(model, layers, hidden_dense=budget is not None)
    return {
        name: layer
        for name, layer in every.items()
        if name in dense or isinstance(layer, keras.layers.Conv2D)
    }


def choose_methods(
    every: Mapping[str, keras.Layer],
    considered: Collection[str],
    method: Methods,
    ranks: Mapping[str, int] | None,
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Returns the methods of layers to decompose, and why others stay whole.

    Those that suit a layer, of several.

    Args:
        every: The convolutions and Dense layers of a plan by name.
        considered: Names of those that may be decomposed.
        method: As for `plan_decomposition`.
        ranks: As for `plan_decomposition`.

    Raises:
        ValueError: Names or methods are unknown, or a layer that was asked for cannot
            be decomposed so.
    """
    for argument, names in (("method", method), ("ranks", ranks)):
        if isinstance(names, Mapping):
            _check_names(names, considered, argument)
    methods, reasons = {}, {}
    for name, layer in every.items():
        asked = _asked(name, layer, method)
        if name not in considered or (ranks is not None and name not in ranks):
            reasons[name] = "not chosen"
            continue
        obstacles = {each: _obstacle(layer, each) for each in asked}
        suited = tuple(each for each, obstacle in obstacles.items() if not obstacle)
        if suited:
            methods[name] = suited
            continue
        reasons[name] = obstacle = next(iter(obstacles.values()))
        for_all = isinstance(method, str | list | tuple)
        if ranks is not None or (asked != (None,) and not for_all):
            raise ValueError(
                f"Layer {name!r} cannot be decomposed: {obstacle}. Leave it out or "
                f"choose another method. Received: method={asked[0]!r}"
            )
    return methods, reasons


def _check_names(names, considered, argument):
    unknown = [name for name in names if name not in considered]
    if unknown or not names:
        raise ValueError(
            f"`{argument}` must name 2D convolutions or Dense layers of the model that "
            f"`layers` leaves in: {', '.join(considered)}. "
            f"Received: {', '.join(map(repr, unknown)) or 'no names'}"
        )


def _asked(name, layer, method) -> tuple[str | None, ...]:
    if isinstance(method, str):
        return (method,)
    if isinstance(method, list | tuple):
        return tuple(method)
    asked = method.get(name) if isinstance(method, Mapping) else method(layer)
    if asked is not None:
        checks.choice(f"method[{name!r}]", asked, METHODS)
    return (asked,)


def _obstacle(layer, method) -> str:
    if method is None:
        return "no method"
    if not graph.is_a(layer, *KERNEL_LAYERS):
        return graph.obstacle(layer, *KERNEL_LAYERS)
    whole = Convolution.of(layer)
    if METHODS[method].scheme.spatial and whole.kernel_shape[:2] == (1, 1):
        name = "Dense layer" if whole.kind == "Dense" else "1x1"
        return f"a {name} is not separable"
    return ""
