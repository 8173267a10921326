"""Ranks of all layers together, for a budget of multiply-adds."""

import numbers
from collections.abc import Mapping

import numpy as np

from keras_roots import convolutions
from keras_roots.convolutions import Cost
from keras_roots.lowrank.candidates import Candidate


def ranks_within(
    candidates: Mapping[str, Candidate],
    total: int,
    macs: float | int,
    cost: str | None,
    multiple: int,
) -> dict[str, int | None]:
    """Chooses the ranks of all layers for a budget.

    For the largest product of the energies, `1 - error`, that the layers keep: what a
    network answers has passed all of them (Zhang et al., Accelerating Very Deep
    Convolutional Networks, TPAMI 2016, section 3.3).

    Args:
        candidates: The layers to choose for, by name.
        total: Multiply-adds of the whole model.
        macs: Those that it may have: a number, or a part of them.
        cost: `None` if every layer must be decomposed.
        multiple: What ranks per group are multiples of.

    Returns:
        Rank over all groups by name, `None` for a layer that stays whole.

    Raises:
        ValueError: `macs` is no number or part, or cannot be reached.
    """
    limit = _limit(macs, total)
    options, errors, counts = [], [], []
    for candidate in candidates.values():
        ranks: list[int | None] = candidate.options(multiple)
        if cost is not None:
            ranks = [None, *filter(candidate.pays, ranks)]
        options.append(ranks)
        errors.append(np.array([_loss(candidate, rank) for rank in ranks]))
        counts.append(np.array([_cost(candidate, rank).macs for rank in ranks]))
    rest = total - sum(_cost(candidate, None).macs for candidate in candidates.values())
    least = rest + sum(int(count.min()) for count in counts)
    if limit < least:
        raise ValueError(
            f"`macs` must be at least {least:,} ({least / total:.3f} of the model's "
            f"{total:,}), with the lowest ranks of the layers considered. "
            f"Received: macs={macs!r}"
        )
    indices = convolutions.best_options(errors, counts, limit - rest)
    return {
        name: ranks[index]
        for name, ranks, index in zip(candidates, options, indices, strict=True)
    }


def _limit(macs, total) -> int:
    if isinstance(macs, numbers.Integral) and not isinstance(macs, bool) and macs > 0:
        return int(macs)
    if isinstance(macs, numbers.Real) and 0 < macs < 1:
        return int(macs * total)
    raise ValueError(
        "`macs` must be a positive integer, the multiply-adds of the whole model, or a "
        f"part of them as a float between 0 and 1. Received: macs={macs!r}"
    )


def _loss(candidate, rank) -> float:
    return 0.0 if rank is None else float(convolutions.log_loss(candidate.error(rank)))


def _cost(candidate, rank) -> Cost:
    return candidate.convolution.cost if rank is None else candidate.cost(rank)
