"""What each convolution of a network can become, what that loses and what it costs."""

import dataclasses
import math
import os
from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np

from keras_roots.benchmarking import LatencyTable, specifications
from keras_roots.convolutions import (
    Convolution,
    factors_cost,
    find_convolutions,
    input_sides,
    layer_responses,
    read_kernels,
)
from keras_roots.groups import (
    find_unmixed,
    groupable,
    is_integer,
    lost_responses,
    with_groups,
)
from keras_roots.lowrank import Candidate, Target, choose_methods

_MOST = 8  # options of a layer, of either kind
WAYS = ("groups", "rank")
_METHOD = "responses"


@dataclasses.dataclass(frozen=True)
class Option:
    """One thing that a convolution can become.

    Attributes:
        way: `"groups"`, `"rank"`, or `None` for what it is.
        value: Its groups, or its rank over all groups.
        lost: Part of the variance of its responses that is lost, 0 to 1.
        chain: The convolutions that take its place, one after the other.
    """

    way: str | None
    value: int
    lost: float
    chain: tuple[Convolution, ...]

    @property
    def macs(self) -> int:
        """Multiply-adds for one input, over all calls."""
        return factors_cost(self.chain).macs


def layer_options(
    model: keras.Model,
    images: np.ndarray,
    *,
    ways: Sequence[str] = WAYS,
    layers=None,
    groups: int = 64,
    rank_multiple: int = 8,
    seed: int = 0,
    input_shape: Sequence | None = None,
) -> dict[str, list[Option]]:
    """Returns what each convolution of a model can become, itself first.

    Args:
        model: A functional or Sequential model with one input.
        images: Sample images `(n, height, width, channels)`, as the model takes them.
        ways: Of `WAYS`: filter groups for spatial convolutions without any, lower ranks
            for all.
        layers: Which convolutions may change: names, or a function of the layer.
        groups: Most groups of a layer.
        rank_multiple: What ranks per group are multiples of.
        seed: Seed of the search for channels that belong together.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Returns:
        Options by name of layer, those that save multiply-adds.

    Raises:
        ValueError: An argument is impossible, the model is subclassed or has none of
            the convolutions.
        ImportError: SciPy is not installed, which groups need.
    """
    check_ways(ways)
    _check_integers(groups=groups, rank_multiple=rank_multiple)
    every = find_convolutions(model, layers)
    sides = input_sides(model, input_shape)
    described = {
        name: Convolution.of(layer, sides[id(layer)]) for name, layer in every.items()
    }
    options = {
        name: [Option(None, described[name].groups, 0.0, (described[name],))]
        for name in every
    }
    for way in (way for way in WAYS if way in ways):
        find = _grouped if way == "groups" else _low_rank
        limit = groups if way == "groups" else rank_multiple
        found = find(model, every, described, images, limit, seed, input_shape)
        for name, more in found.items():
            options[name] += [
                option for option in more if option.macs < options[name][0].macs
            ]
    return options


def latencies(
    options: Mapping[str, Sequence[Option]],
    table: str | os.PathLike | LatencyTable | None,
) -> dict[str, np.ndarray]:
    """Returns the milliseconds of each option, all calls of a layer together.

    Args:
        options: Options by name of layer.
        table: Times measured before, or where to keep them; `None` to keep nothing.
    """
    if not isinstance(table, LatencyTable):
        table = LatencyTable(table)
    chains, owners = [], []
    for name, choices in options.items():
        for index, option in enumerate(choices):
            calls = list(zip(*map(specifications, option.chain), strict=True))
            chains += calls
            owners += [(name, index)] * len(calls)
    times = {name: np.zeros(len(choices)) for name, choices in options.items()}
    for (name, index), ms in zip(owners, table.ms_many(chains), strict=True):
        times[name][index] += ms
    return times


def check_ways(ways: Sequence[str]) -> None:
    """Checks what layers may get.

    Args:
        ways: Of `WAYS`, one or more.

    Raises:
        ValueError: They are something else.
    """
    names = isinstance(ways, Collection) and not isinstance(ways, str)
    if not names or not ways or not all(way in WAYS for way in ways):
        raise ValueError(f"`ways` must be of {WAYS}, a tuple. Received: ways={ways!r}")


def _check_integers(**given):
    for name, value in given.items():
        if not is_integer(value) or value < 1:
            raise ValueError(
                f"`{name}` must be a positive integer. Received: {name}={value!r}"
            )


def _grouped(model, every, described, images, most, seed, input_shape):
    """Filter groups, and the 1x1 behind them where nothing else would mix them."""
    counts = {}
    for name, layer, _ in groupable(model, input_shape).values():
        if name in every:
            common = math.gcd(layer.kernel.shape[2], layer.filters)
            divisors = [n for n in range(2, min(most, common) + 1) if common % n == 0]
            counts[name] = _spread(divisors)
    counts = {name: tries for name, tries in counts.items() if tries}
    if not counts:
        return {}
    unmixed = find_unmixed(
        model, {id(every[name]): name for name in counts}, input_shape
    )
    lost = lost_responses(model, counts, images, seed)
    return {
        name: [
            Option(
                "groups",
                count,
                float(part),
                with_groups(described[name], count, name in unmixed),
            )
            for count, part in zip(tries, lost[name], strict=True)
        ]
        for name, tries in counts.items()
    }


def _low_rank(model, every, described, images, multiple, seed, input_shape):
    """Fewer filters, and a 1x1 that combines them."""
    del input_shape
    methods = choose_methods(every, every, _METHOD, None)[0]
    responses = layer_responses(model, methods, images, seed=seed)
    found = {}
    for name in methods:
        layer = every[name]
        target = Target(read_kernels(name, layer), layer.groups, responses[name])
        candidate = Candidate(name, _METHOD, target, described[name])
        ranks = _spread(filter(candidate.pays, candidate.options(multiple)))
        found[name] = [
            Option("rank", rank, candidate.error(rank), candidate.factors(rank))
            for rank in ranks
        ]
    return found


def _spread(values) -> list[int]:
    """Some of the values, evenly spread."""
    values = list(values)
    chosen = np.linspace(0, len(values) - 1, min(len(values), _MOST))
    return [values[index] for index in np.unique(chosen.round().astype(int))]
