"""Ranks of all layers together, for a budget of multiply-adds or of measured time."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_roots import convolutions
from keras_roots.benchmarking import LatencyTable
from keras_roots.lowrank.candidates import Candidate

_MOST_TIMED = 8  # ranks of a layer to measure


def ranks_within(
    candidates: Mapping[str, Sequence[Candidate]],
    budget: float,
    cost: str | None,
    total: float,
    multiple: int,
    table: LatencyTable | None = None,
) -> dict[str, tuple[Candidate, int | None]]:
    """Chooses the ranks, and the methods, of all layers for a budget.

    For the largest product of the energies, `1 - error`, that the layers keep: what a
    network answers has passed all of them (Zhang et al., Accelerating Very Deep
    Convolutional Networks, TPAMI 2016, section 3.3).

    Args:
        candidates: How each layer may be decomposed, by name.
        budget: Part of the model's cost that it may keep.
        cost: `"macs"`, `"latency"`, or `None` for multiply-adds where every layer must
            be decomposed.
        total: Cost of the whole model.
        multiple: What ranks per group are multiples of.
        table: Measured times, for `"latency"`.

    Returns:
        By name, how a layer is decomposed, and its rank over all groups: `None` for one
        that stays whole.

    Raises:
        ValueError: `budget` cannot be reached.
    """
    options = [
        [] if cost is None else [(ways[0], None)] for ways in candidates.values()
    ]
    for found, ways in zip(options, candidates.values(), strict=True):
        for candidate in ways:
            ranks = _ranks(candidate, cost, multiple)
            found += [(candidate, rank) for rank in ranks]
    costs = [_costs(found, table) for found in options]
    wholes = sum(
        float(_costs([(ways[0], None)], table)[0]) for ways in candidates.values()
    )
    rest = total - wholes
    least = rest + sum(float(each.min()) for each in costs)
    convolutions.check_budget(budget, least / total, cost or "macs", "the lowest ranks")
    errors = [np.array([_loss(*option) for option in found]) for found in options]
    indices = convolutions.best_options(errors, costs, budget * total - rest)
    return {
        name: found[index]
        for name, found, index in zip(candidates, options, indices, strict=True)
    }


def _ranks(candidate, cost, multiple) -> list[int]:
    every = candidate.options(multiple)
    if cost is None:
        return every
    paying = list(filter(candidate.pays, every))
    if cost == "macs":
        return paying
    chosen = np.linspace(0, len(paying) - 1, min(len(paying), _MOST_TIMED))
    return [paying[index] for index in chosen.round().astype(int)]


def _costs(options, table) -> np.ndarray:
    chains = [candidate.chain(rank) for candidate, rank in options]
    if table is not None:
        return np.array(table.ms(chains))
    return np.array(
        [convolutions.total_cost(chain).macs for chain in chains], "float64"
    )


def _loss(candidate, rank) -> float:
    return 0.0 if rank is None else float(convolutions.log_loss(candidate.error(rank)))
