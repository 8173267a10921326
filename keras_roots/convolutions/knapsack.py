"""The choice of one option per layer, for the least error within a budget."""

import math
from collections.abc import Sequence

import numpy as np

_WORST = 1 - 1e-9  # an error of 1 would have no logarithm
_STEPS = 100  # of the bisection: more than a float64 resolves


def log_loss(lost: float | np.ndarray) -> float | np.ndarray:
    """Returns the negated logarithm of the part of the energy that layers keep.

    Args:
        lost: Part of the energy that each loses, 0 to 1.
    """
    return -np.log1p(-np.minimum(lost, _WORST))


def check_budget(budget: float, least: float, cost: str, lowest: str) -> None:
    """Checks that a budget can be met.

    Args:
        budget: Part of the model's cost that it may keep.
        least: The least part that any choice leaves.
        cost: What the cost is of.
        lowest: The options that leave that: `"the lowest ranks"`.

    Raises:
        ValueError: It cannot; the message says what can.
    """
    if budget >= least:
        return
    possible = math.ceil(1000 * least) / 1000
    if possible >= 1:
        raise ValueError(
            "`budget` cannot be met: none of the layers considered saves a thousandth "
            f"of the model's {cost}, even with {lowest}. Other `layers` may. "
            f"Received: budget={budget!r}"
        )
    raise ValueError(
        f"`budget` must be at least {possible}: with {lowest} of the layers "
        f"considered, that part of the model's {cost} is left. "
        f"Received: budget={budget!r}"
    )


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
