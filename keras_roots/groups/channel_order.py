"""Which channels of a network's layers belong together in filter groups."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_roots import graph
from keras_roots.groups import assignment
from keras_roots.utils import progress

_RESTARTS = 1  # of the search where many numbers of groups are tried


def put_in_order(
    model: keras.Model, groups: Mapping[str, int], seed: int = 0
) -> keras.Model:
    """Returns a copy of a model with channels that belong together as neighbours.

    It computes what the model does: the layers around are permuted with them.

    Args:
        model: A functional or Sequential model.
        groups: Groups, more than one, by name of convolutions without any.
        seed: Seed of the search for groups.

    Raises:
        ValueError: Weights are not finite.
    """
    return graph.permute_channels(model, *_choose(model, groups, seed))


def groupings(
    model: keras.Model, counts: Mapping[str, Sequence[int]], seed: int = 0
) -> dict[str, list[assignment.Grouping]]:
    """Returns which channels make groups, of each layer by itself.

    The order of channels that several layers share is free for the first of them in the
    graph, as in `put_in_order`; for later ones, which may have to take the order of the
    first, it is as it is.

    Args:
        model: A functional or Sequential model.
        counts: Numbers of groups to try, by name of convolutions without any.
        seed: Seed of the search for channels that belong together.

    Returns:
        By name, the grouping for each number.

    Raises:
        ValueError: Weights are not finite.
    """
    found = graph.channel_spaces(model)
    made, taken = {}, set()
    layers = [each for each in graph.operations(model) if each[0] in counts]
    for name, layer in progress(layers):
        energy = _energy(name, layer)
        sides = _sides(found, layer)
        both = _tied(*sides)
        inputs, filters = (
            None
            if len(side) == 1
            and not both
            and not found.pinned(side[0])
            and side[0] not in taken
            else np.arange(size)
            for side, size in zip(sides, energy.shape, strict=True)
        )
        taken.update(*sides)
        made[name] = [
            assignment.group_channels(
                energy,
                count,
                inputs=inputs,
                filters=filters,
                seed=seed,
                restarts=_RESTARTS,
            )
            for count in counts[name]
        ]
    return made


def _choose(model, groups, seed) -> tuple[graph.Spaces, dict[int, np.ndarray]]:
    """Chooses which channels make groups, layer by layer, in the order of the graph.

    A space of channels that an earlier layer has put in order stays so.
    """
    found = graph.channel_spaces(model)
    orders: dict[int, np.ndarray] = {
        space: np.arange(found.size(space)) for space in found if found.pinned(space)
    }
    for name, layer in graph.operations(model):
        if name not in groups:
            continue
        energy = _energy(name, layer)
        sides = _sides(found, layer)
        if _tied(*sides) or len(sides[0]) > 1:
            # Of several spaces, or one that is on both sides, none is put in order.
            for space in sides[0]:
                orders.setdefault(space, np.arange(found.size(space)))
        grouping = assignment.group_channels(
            energy,
            groups[name],
            inputs=_order(found, sides[0], orders, energy.shape[0]),
            filters=_order(found, sides[1], orders, energy.shape[1]),
            seed=seed,
        )
        for side, order in zip(sides, grouping[:2], strict=True):
            if len(side) == 1:
                orders.setdefault(side[0], order)
    return found, {
        space: order for space, order in orders.items() if not found.pinned(space)
    }


def _order(found, composition, orders, size) -> np.ndarray | None:
    """The order that channels have by now; `None` if they may have any."""
    if not composition:  # not followed
        return np.arange(size)
    if not all(space in orders for space in composition):
        return None
    sizes = [found.size(space) for space in composition]
    starts = np.cumsum([0, *sizes[:-1]])
    parts = [start + orders[s] for start, s in zip(starts, composition, strict=True)]
    return np.concatenate(parts)


def _energy(name, layer) -> np.ndarray:
    """The energy between inputs and filters of a layer of a model."""
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    if not np.isfinite(kernel).all():
        raise ValueError(
            "`model` must have finite weights where channels are chosen by them. "
            f"Received: a model with NaN or infinity in the kernel of layer {name!r}"
        )
    return assignment.energy_matrix(kernel)


def _sides(found, layer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The spaces of a convolution's inputs and filters; empty if not followed."""
    output = found.output(layer)
    return found.inputs(layer), () if output is None else (output,)


def _tied(inputs, filters) -> bool:
    """Tells whether a space is on both sides of a convolution: `x + convolution(x)`.

    Whatever order its inputs had, its filters would have too.
    """
    return not set(inputs).isdisjoint(filters)
