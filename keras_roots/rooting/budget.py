"""Groups of every layer by itself, for a budget of multiply-adds or time."""

import dataclasses
import math
import numbers
import os
from collections.abc import Sequence

import keras
import numpy as np

from keras_roots.lowrank import budget as budgets
from keras_roots.lowrank.costs import Convolution, input_sides
from keras_roots.lowrank.latency import LatencyTable, specifications
from keras_roots.rooting import carrying
from keras_roots.rooting.stages import Spatial

_WORST = 1 - 1e-9  # a loss of 1 would have no logarithm


@dataclasses.dataclass(frozen=True)
class Options:
    """What the groups of one layer can be.

    Attributes:
        groups: Numbers of groups, ascending from 1.
        lost: Part of the kernel's energy that is lost with each.
        cost: Cost of the layer with each.
    """

    groups: tuple[int, ...]
    lost: np.ndarray
    cost: np.ndarray


def groups_within(
    model: keras.Model,
    spatial: Sequence[Spatial],
    most: int,
    budget: float,
    cost: str,
    *,
    total: float,
    table: str | os.PathLike | LatencyTable | None = None,
    seed: int = 0,
    input_shape: Sequence | None = None,
) -> dict[str, int]:
    """Chooses the groups of all layers for a budget.

    For the largest product of the energies that the kernels keep, as ranks are chosen
    for a budget (`lowrank.budget`).

    Args:
        model: The model.
        spatial: Its spatial convolutions; those that are not chosen stay.
        most: Most groups of a layer.
        budget: What the whole model may cost: a part of what it does.
        cost: A key of `COSTS`: `"macs"`, counted, or `"latency"`, measured in LiteRT.
        total: Cost of the whole model.
        table: For `"latency"`, a `LatencyTable` or the path of its file.
        seed: Seed of the search for channels that belong together.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Returns:
        Groups by name of layer.

    Raises:
        ValueError: The budget is no part, or cannot be reached.
    """
    if not isinstance(budget, numbers.Real) or not 0 < budget < 1:
        raise ValueError(
            "`budget` must be a part of what the model costs, between 0 and 1. "
            f"Received: budget={budget!r}"
        )
    chosen = {layer.name: layer for layer in spatial if layer.chosen}
    counts = {name: _counts(layer, most) for name, layer in chosen.items()}
    costs = COSTS[cost](model, chosen, counts, table, input_shape)
    lost = carrying.lost_energy(model, counts, seed)
    options = {
        name: Options(counts[name], lost[name], _packed(counts[name], costs[name]))
        for name in chosen
    }
    rest = total - sum(float(option.cost[0]) for option in options.values())
    least = rest + sum(float(option.cost.min()) for option in options.values())
    if budget * total < least:
        raise ValueError(
            f"`budget` must be at least {math.ceil(1000 * least / total) / 1000}: with "
            f"at most {most} groups the model's {cost} is {least / total:.3f} of what "
            f"it was. Received: budget={budget!r}"
        )
    errors = [
        -np.log1p(-np.minimum(option.lost, _WORST)) for option in options.values()
    ]
    each = [option.cost for option in options.values()]
    limit = budget * total - rest
    indices = budgets.least_error(errors, each, limit)
    indices = budgets.use_up(indices, errors, each, limit)
    return {
        name: option.groups[index]
        for (name, option), index in zip(options.items(), indices, strict=True)
    }


def _counts(layer, most) -> tuple[int, ...]:
    common = math.gcd(layer.channels, layer.filters)
    return tuple(n for n in range(1, min(most, common) + 1) if common % n == 0)


def _packed(counts, costs) -> np.ndarray:
    """Costs with groups merged where that is cheaper, as exports do."""
    return np.array(
        [
            min(cost for n, cost in zip(counts, costs, strict=True) if count % n == 0)
            for count in counts
        ]
    )


def _macs(model, chosen, counts, table, input_shape) -> dict[str, list[float]]:
    sides = input_sides(model, input_shape)
    return {
        name: [float(_grouped(layer, sides, count).cost.macs) for count in counts[name]]
        for name, layer in chosen.items()
    }


def _latency(model, chosen, counts, table, input_shape) -> dict[str, list[float]]:
    if not isinstance(table, LatencyTable):
        table = LatencyTable(table)
    sides = input_sides(model, input_shape)
    keys, chains = [], []
    for name, layer in chosen.items():
        for count in counts[name]:
            convolution = _grouped(layer, sides, count)
            specs = specifications(convolution)
            keys += [(name, count)] * len(specs)
            chains += [(spec,) for spec in specs]
    times: dict[tuple, float] = {}
    for key, ms in zip(keys, table.ms_many(chains), strict=True):
        times[key] = times.get(key, 0.0) + ms
    return {name: [times[name, count] for count in counts[name]] for name in chosen}


def _grouped(layer, sides, count) -> Convolution:
    whole = Convolution.of(layer.layer, sides[id(layer.layer)])
    height, width, channels, filters = whole.kernel_shape
    shape = (height, width, channels // count, filters)
    return dataclasses.replace(whole, kernel_shape=shape, groups=count)


# Cost: function of the model, its chosen layers, the groups that each can have, a
# table of times and the input shape to the costs of each layer with those groups.
COSTS = {"macs": _macs, "latency": _latency}
