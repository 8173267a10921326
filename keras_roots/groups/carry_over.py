"""Trained weights on their way into filter groups."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_roots import graph
from keras_roots.groups import assignment
from keras_roots.layers import GroupedConv2D


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
        ImportError: SciPy is not installed.
    """
    return graph.permute_channels(model, *_choose(model, groups, seed))


def divide(
    model: keras.Model, groups: Mapping[str, int], *, fresh: bool = False
) -> keras.Model:
    """Returns a copy of a model whose convolutions have filter groups.

    Args:
        model: A functional or Sequential model.
        groups: As for `put_in_order`.
        fresh: Whether their kernels are initialised anew; else they keep the weights of
            neighbouring inputs and filters.
    """
    grouped = {
        id(layer): groups[name]
        for name, layer in graph.operations(model)
        if name in groups
    }

    def replace(layer):
        if id(layer) not in grouped:
            return None
        config = {**graph.configuration(layer), "groups": grouped[id(layer)]}
        config["kernel_constraint"] = None  # it was on the kernel of all inputs
        new = GroupedConv2D.from_config(config)
        if fresh:
            kernel = _fresh(new, layer.kernel.shape[2])
        else:
            kernel = cut(layer.get_weights()[0], grouped[id(layer)])
        return graph.Replacement([new], [[kernel, *layer.get_weights()[1:]]])

    return graph.rewrite(model, replace)


def cut(kernel: np.ndarray, groups: int) -> np.ndarray:
    """Returns the diagonal blocks of a kernel: its filters on their own group's inputs.

    Args:
        kernel: `(height, width, channels, filters)`.
        groups: Number of groups, each of neighbouring channels and filters.

    Returns:
        `(height, width, channels / groups, filters)`, as `GroupedConv2D` has it.
    """
    height, width, channels, filters = kernel.shape
    blocks = kernel.reshape(
        height, width, groups, channels // groups, groups, filters // groups
    )
    kept = [blocks[:, :, group, :, group] for group in range(groups)]
    return np.concatenate(kept, axis=-1)


def _fresh(layer, channels) -> np.ndarray:
    """The kernel that a layer's own initialiser makes."""
    sides = (None, None)
    last = layer.data_format == "channels_last"
    layer.build((None, *sides, channels) if last else (None, channels, *sides))
    return layer.get_weights()[0]


def sides_of(
    found: graph.Spaces, layer: keras.layers.Conv2D
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the spaces of a convolution's inputs and filters; empty if not followed.

    Args:
        found: The channel spaces of its model.
        layer: The convolution.
    """
    output = found.output(layer)
    return found.inputs(layer), () if output is None else (output,)


def tied(inputs: tuple[int, ...], filters: tuple[int, ...]) -> bool:
    """Returns whether a space is on both sides of a convolution: `x + convolution(x)`.

    Whatever order its inputs had, its filters would have too.

    Args:
        inputs: Spaces of its inputs.
        filters: Spaces of its filters.
    """
    return not set(inputs).isdisjoint(filters)


def energy_of(name: str, layer: keras.layers.Conv2D) -> np.ndarray:
    """Returns the energy between inputs and filters of a layer of a model.

    Args:
        name: Name of the layer.
        layer: A convolution without groups.

    Raises:
        ValueError: Its kernel is not finite.
    """
    kernel = layer.get_weights()[0]
    if not np.isfinite(kernel).all():
        raise ValueError(
            "`model` must have finite weights where channels are chosen by them. "
            f"Received: a model with NaN or infinity in the kernel of layer {name!r}"
        )
    return assignment.energy_matrix(kernel)


def _choose(model, groups, seed) -> tuple[graph.Spaces, dict[int, np.ndarray]]:
    """Which channels make groups, layer by layer, in the order of the graph.

    A space of channels that an earlier layer has put in order stays so.
    """
    found = graph.channel_spaces(model)
    orders: dict[int, np.ndarray] = {
        space: np.arange(found.size(space)) for space in found if found.pinned(space)
    }
    for name, layer in graph.operations(model):
        if name not in groups:
            continue
        energy = energy_of(name, layer)
        sides = sides_of(found, layer)
        if tied(*sides) or len(sides[0]) > 1:
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
