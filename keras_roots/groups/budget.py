"""Groups of every layer by itself, for a budget of multiply-adds or time."""

import dataclasses
import math
import numbers
import os
from collections.abc import Callable, Collection, Sequence

import keras
import numpy as np

from keras_roots import convolutions
from keras_roots.benchmarking import LatencyTable, specifications
from keras_roots.convolutions import Convolution, input_sides
from keras_roots.groups import losses
from keras_roots.groups.stages import Spatial

_STEPS = 6  # of the search for what 1x1s that turn out not to be needed leave
_ROUNDS = 4  # until the 1x1s that are needed are those that were expected


@dataclasses.dataclass(frozen=True)
class Options:
    """What the groups of one layer can be.

    Attributes:
        groups: Numbers of groups, ascending from 1.
        error: What is lost with each; losses of layers add up.
        mixed_error: That with a 1x1 behind the layer.
        alone: Cost of the layer with each.
        mix: Cost of the 1x1 behind it, if it gets groups; 0 where none may be needed.
    """

    groups: tuple[int, ...]
    error: np.ndarray
    mixed_error: np.ndarray
    alone: np.ndarray
    mix: float

    @property
    def cost(self) -> np.ndarray:
        """Cost with each, and of the 1x1."""
        return self.alone + self.mix * (np.array(self.groups) > 1)


def groups_within(
    model: keras.Model,
    spatial: Sequence[Spatial],
    most: int,
    budget: float,
    cost: str,
    *,
    total: float,
    mixed: Callable[[Collection[str]], Collection[str]] = lambda grouped: (),
    table: str | os.PathLike | LatencyTable | None = None,
    images: np.ndarray | None = None,
    seed: int = 0,
    input_shape: Sequence | None = None,
) -> dict[str, int]:
    """Chooses the groups of all layers for a budget.

    With sample images, for the least change of what the network answers to them, added
    up over layers that get groups one at a time; without, for the largest product of
    the energies that kernels keep, as ranks are chosen for a budget (`lowrank.budget`).

    Args:
        model: The model.
        spatial: Its spatial convolutions; those that are not chosen stay.
        most: Most groups of a layer.
        budget: What the whole model may cost: a part of what it does.
        cost: A key of `COSTS`: `"macs"`, counted, or `"latency"`, measured in LiteRT.
        total: Cost of the whole model.
        mixed: Function of the names of the layers with groups to the names of those
            that a 1x1 is added to.
        table: For `"latency"`, a `LatencyTable` or the path of its file.
        images: Sample images, for what the network answers.
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
    sides = input_sides(model, input_shape)
    may_mix = mixed(chosen)
    costs = COSTS[cost](chosen, counts, may_mix, sides, table)
    errors = _errors(model, counts, images, seed, may_mix)
    options = {
        name: Options(
            counts[name],
            *errors[name],
            _packed(counts[name], [alone for alone, _ in costs[name]]),
            max(mix for _, mix in costs[name]),
        )
        for name in chosen
    }
    rest = total - sum(float(option.cost[0]) for option in options.values())
    least = rest + sum(float(option.cost.min()) for option in options.values())
    if all(option.cost.min() >= option.cost[0] for option in options.values()):
        raise ValueError(
            f"`budget` cannot be met by filter groups: with at most {most} of them, "
            f"which have to divide channels and filters, no layer saves any {cost}. A "
            f"higher `root` or other `layers` may. Received: budget={budget!r}"
        )
    if budget * total < least:
        raise ValueError(
            f"`budget` must be at least {math.ceil(1000 * least / total) / 1000}: with "
            f"at most {most} groups the model's {cost} is {least / total:.3f} of what "
            f"it was. Received: budget={budget!r}"
        )
    return _choose(options, budget * total - rest, mixed)


def _errors(
    model, counts, images, seed, mixed
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What is lost with each number of groups, without and with a 1x1 behind."""
    if images is None:
        lost = losses.lost_energy(model, counts, seed)
        return {name: (convolutions.log_loss(part),) * 2 for name, part in lost.items()}
    changes = losses.changed_answers(model, counts, images, seed, mixed=mixed)
    return {name: (change.alone, change.mixed) for name, change in changes.items()}


def _choose(options, limit, mixed) -> dict[str, int]:
    """Returns the groups of each layer, with the least error within a limit.

    Errors are less where 1x1s mix groups, and which do depends on which layers have
    groups: the choice is made anew for those that the last one needs.
    """
    expected = frozenset(name for name, option in options.items() if option.mix)
    found = []
    for _ in range(_ROUNDS):
        chosen, needed = _choose_expecting(options, limit, mixed, expected)
        found.append((_error(options, chosen, needed), chosen))
        if needed == expected:
            break
        expected = needed
    _, best = min(found, key=lambda pair: pair[0])
    return {name: options[name].groups[index] for name, index in best.items()}


def _choose_expecting(options, limit, mixed, expected):
    """Returns options of each layer, and where these need 1x1s.

    All that may be needed are counted first; the limit is then raised by as much of
    their cost as is not spent.
    """
    errors = [
        option.mixed_error if name in expected else option.error
        for name, option in options.items()
    ]
    costs = [option.cost for option in options.values()]

    def choose(extra):
        indices = convolutions.best_options(errors, costs, limit + extra)
        chosen = dict(zip(options, indices, strict=True))
        grouped = [name for name, i in chosen.items() if options[name].groups[i] > 1]
        return chosen, frozenset(mixed(grouped))

    def fits(chosen, needed):
        spent = sum(options[name].alone[index] for name, index in chosen.items())
        return spent + sum(options[name].mix for name in needed) <= limit

    best = choose(0.0)
    low, high = 0.0, sum(option.mix for option in options.values())
    for _ in range(_STEPS if high else 0):
        middle = (low + high) / 2
        found = choose(middle)
        if fits(*found):
            best, low = found, middle
        else:
            high = middle
    return best


def _error(options, chosen, mixed) -> float:
    return sum(
        (options[name].mixed_error if name in mixed else options[name].error)[index]
        for name, index in chosen.items()
    )


def with_groups(
    whole: Convolution, groups: int, mixed: bool
) -> tuple[Convolution, ...]:
    """Describes a convolution with groups.

    Args:
        whole: The convolution without any.
        groups: Its groups.
        mixed: Whether a 1x1 is added behind it if it has groups.

    Returns:
        The convolutions that take its place, one after the other.
    """
    height, width, channels, filters = whole.kernel_shape
    shape = (height, width, channels // groups, filters)
    grouped = dataclasses.replace(whole, kernel_shape=shape, groups=groups)
    if groups == 1 or not mixed:
        return (grouped,)
    mix = Convolution(
        (1, 1, filters, filters), 1, (1, 1), "valid", (1, 1), False, grouped.outputs
    )
    return grouped, mix


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


def _macs(chosen, counts, mixed, sides, table) -> dict[str, list[tuple]]:
    del table
    found = {name: [] for name in chosen}
    for name, layer in chosen.items():
        for count in counts[name]:
            grouped, *mix = _chain(layer, count, mixed, sides)
            added = sum(part.cost.macs for part in mix)
            found[name].append((float(grouped.cost.macs), float(added)))
    return found


def _latency(chosen, counts, mixed, sides, table) -> dict[str, list[tuple]]:
    if not isinstance(table, LatencyTable):
        table = LatencyTable(table)
    keys, chains = [], []
    for name, layer in chosen.items():
        for count in counts[name]:
            parts = _chain(layer, count, mixed, sides)
            for length in range(1, len(parts) + 1):
                calls = list(zip(*map(specifications, parts[:length]), strict=True))
                keys += [(name, count, length)] * len(calls)
                chains += calls
    times: dict[tuple, float] = {}
    for key, ms in zip(keys, table.ms_many(chains), strict=True):
        times[key] = times.get(key, 0.0) + ms
    found = {name: [] for name in chosen}
    for (name, count, length), alone in times.items():
        if length == 1:
            together = times.get((name, count, 2), alone)
            found[name].append((alone, max(0.0, together - alone)))
    return found


def _chain(layer, count, mixed, sides) -> tuple[Convolution, ...]:
    whole = Convolution.of(layer.layer, sides[id(layer.layer)])
    return with_groups(whole, count, layer.name in mixed)


# Cost: function of layers by name, the groups that each can have, the names of those
# that a 1x1 is added to, the sides of their inputs and a table of times, to the costs
# of each layer with those groups: its own, and the 1x1's, 0 without one.
COSTS = {"macs": _macs, "latency": _latency}
