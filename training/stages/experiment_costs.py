"""Which part of a network's cost plans of filter groups keep: counted, or measured."""

import os
from collections.abc import Callable

import keras

from keras_roots import benchmarking, groups
from keras_roots.benchmarking import LatencyTable
from keras_roots.convolutions import input_sides
from keras_roots.groups import RootPlan, spatial_convolutions

_SLACK = 1e-9  # a budget that is a plan's own cost shall not rule the plan out


def macs_part(
    model: keras.Model, table: str | os.PathLike
) -> Callable[[RootPlan], float]:
    """Returns the function of a plan to the part of the multiply-adds that it keeps.

    Args:
        model: The model that plans are for.
        table: Not used.
    """
    del model, table
    return lambda plan: plan.macs_after / plan.macs + _SLACK


def latency_part(
    model: keras.Model, table: str | os.PathLike
) -> Callable[[RootPlan], float]:
    """Returns the function of a plan to the part of the time that it should keep.

    That is the time of the whole model, measured once in LiteRT on one thread, less
    what its convolutions save one by one; groups are merged where that is faster, as
    exports do.

    Args:
        model: The model that plans are for.
        table: File of a `LatencyTable`, which gets what it lacks.

    Raises:
        ImportError: TensorFlow or LiteRT is not installed.
        ValueError: The file is of another machine.
    """
    times = LatencyTable(table)
    convolutions = {layer.name: layer for layer in spatial_convolutions(model)}
    sides = input_sides(model)
    whole = benchmarking.compare({model.name: model})[0].p10_ms

    def part(plan):
        counts = {
            row.name: [n for n in range(1, row.groups + 1) if row.groups % n == 0]
            for row in plan.layers
        }
        mixed = [row.name for row in plan.layers if row.mix]
        found = groups.COSTS["latency"](convolutions, counts, mixed, sides, times)
        return 1 - sum(map(_saved, found.values())) / whole + _SLACK

    return part


def _saved(times) -> float:
    """What a layer saves, by its times without groups to those that it has."""
    alone, mix = zip(*times, strict=True)
    return alone[0] - min(alone) - mix[-1]


# By the names that plans know costs by.
COSTS = {"macs": macs_part, "latency": latency_part}
