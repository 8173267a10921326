"""Ranks of all layers together, for a budget of multiply-adds."""

import numbers
from collections.abc import Mapping, Sequence

import numpy as np

from keras_roots.lowrank.candidates import Candidate
from keras_roots.lowrank.costs import Cost

_WORST = 1 - 1e-9  # an error of 1 would have no logarithm
_STEPS = 100  # of the bisection: more than a float64 resolves


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
    indices = best_options(errors, counts, limit - rest)
    return {
        name: ranks[index]
        for name, ranks, index in zip(candidates, options, indices, strict=True)
    }


def log_loss(lost: float | np.ndarray) -> float | np.ndarray:
    """Returns the negated logarithm of the part of the energy that layers keep.

    Args:
        lost: Part of the energy that each loses, 0 to 1.
    """
    return -np.log1p(-np.minimum(lost, _WORST))


def best_options(
    errors: Sequence[np.ndarray], costs: Sequence[np.ndarray], limit: float
) -> list[int]:
    """Chooses an option per layer: `least_error`, and what is left used up.

    Args:
        errors: Of each layer, the error of every option.
        costs: Of each layer, the cost of every option.
        limit: Cost of all layers together; the least ones must fit.

    Returns:
        Index of an option per layer.
    """
    return use_up(least_error(errors, costs, limit), errors, costs, limit)


def least_error(
    errors: Sequence[np.ndarray], macs: Sequence[np.ndarray], limit: int
) -> list[int]:
    """Chooses an option per layer: the least sum of errors within a budget.

    By Lagrangian relaxation: the least sum of errors + weight * MACs, layer by layer,
    for the least weight that stays within the budget. What it finds has the least error
    of all choices with as many multiply-adds or fewer; the budget may not be used up.

    Args:
        errors: Of each layer, the error of every option.
        macs: Of each layer, the multiply-adds of every option.
        limit: Multiply-adds of all layers together; the least ones must fit.

    Returns:
        Index of an option per layer.
    """
    if not errors:
        return []

    def choose(weight):
        return [
            int(np.argmin(error + weight * count / max(limit, 1)))
            for error, count in zip(errors, macs, strict=True)
        ]

    def fits(chosen):
        return sum(m[i] for m, i in zip(macs, chosen, strict=True)) <= limit

    low, high = 0.0, 1.0
    if fits(choose(low)):
        return choose(low)
    while not fits(choose(high)):
        low, high = high, 4 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(choose(middle)) else (middle, high)
    return choose(high)


def use_up(
    chosen: Sequence[int],
    errors: Sequence[np.ndarray],
    macs: Sequence[np.ndarray],
    limit: int,
) -> list[int]:
    """Spends what a choice leaves of the budget, where it lowers errors most.

    Errors fall to zero at once where a layer stays whole, and such steps are too large
    for what is left more often than not: `least_error` alone stops before them.

    Args:
        chosen: Index of an option per layer.
        errors: As for `least_error`.
        macs: As for `least_error`.
        limit: As for `least_error`.
    """
    chosen = list(chosen)
    while True:
        left = limit - sum(m[i] for m, i in zip(macs, chosen, strict=True))
        gain, layer, option = 0.0, 0, None
        for index, (error, count) in enumerate(zip(errors, macs, strict=True)):
            now = chosen[index]
            fits = count <= count[now] + left
            best = int(np.argmin(np.where(fits, error, np.inf)))
            if error[now] - error[best] > gain:
                gain, layer, option = error[now] - error[best], index, best
        if option is None:
            return chosen
        chosen[layer] = option


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
    return 0.0 if rank is None else float(log_loss(candidate.error(rank)))


def _cost(candidate, rank) -> Cost:
    return candidate.convolution.cost if rank is None else candidate.cost(rank)
