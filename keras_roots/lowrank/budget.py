"""Ranks of all layers together, for a budget of multiply-adds or of measured time."""

import math
from collections.abc import Mapping

import numpy as np

from keras_roots import convolutions
from keras_roots.benchmarking import LatencyTable
from keras_roots.lowrank.candidates import Candidate

_MOST_TIMED = 8  # ranks of a layer to measure


def ranks_within(
    candidates: Mapping[str, Candidate],
    budget: float,
    cost: str | None,
    total: float,
    multiple: int,
    table: LatencyTable | None = None,
) -> dict[str, int | None]:
    """Chooses the ranks of all layers for a budget.

    For the largest product of the energies, `1 - error`, that the layers keep: what a
    network answers has passed all of them (Zhang et al., Accelerating Very Deep
    Convolutional Networks, TPAMI 2016, section 3.3).

    Args:
        candidates: The layers to choose for, by name.
        budget: Part of the model's cost that it may keep.
        cost: `"macs"`, `"latency"`, or `None` for multiply-adds where every layer must
            be decomposed.
        total: Cost of the whole model.
        multiple: What ranks per group are multiples of.
        table: Measured times, for `"latency"`.

    Returns:
        Rank over all groups by name, `None` for a layer that stays whole.

    Raises:
        ValueError: `budget` cannot be reached.
    """
    options = {
        name: _options(candidate, cost, multiple)
        for name, candidate in candidates.items()
    }
    costs = [
        _costs(candidate, options[name], table)
        for name, candidate in candidates.items()
    ]
    wholes = sum(
        float(_costs(candidate, [None], table)[0]) for candidate in candidates.values()
    )
    rest = total - wholes
    least = rest + sum(float(each.min()) for each in costs)
    if budget * total < least:
        raise ValueError(
            f"`budget` must be at least {math.ceil(1000 * least / total) / 1000}: with "
            "the lowest ranks of the layers considered, that part of the model's "
            f"{cost or 'macs'} is left. Received: budget={budget!r}"
        )
    errors = [
        np.array([_loss(candidate, rank) for rank in options[name]])
        for name, candidate in candidates.items()
    ]
    indices = convolutions.best_options(errors, costs, budget * total - rest)
    return {
        name: ranks[index]
        for (name, ranks), index in zip(options.items(), indices, strict=True)
    }


def _options(candidate, cost, multiple) -> list[int | None]:
    if cost is None:
        return candidate.options(multiple)
    if cost == "macs":
        return [None, *filter(candidate.pays, candidate.options(multiple))]
    paying = list(filter(candidate.pays, candidate.options(multiple)))
    chosen = np.linspace(0, len(paying) - 1, min(len(paying), _MOST_TIMED))
    return [None, *(paying[index] for index in chosen.round().astype(int))]


def _costs(candidate, ranks, table) -> np.ndarray:
    chains = [candidate.chain(rank) for rank in ranks]
    if table is not None:
        return np.array(table.ms(chains))
    return np.array(
        [convolutions.total_cost(chain).macs for chain in chains], "float64"
    )


def _loss(candidate, rank) -> float:
    return 0.0 if rank is None else float(convolutions.log_loss(candidate.error(rank)))
