"""Choices of one option per layer, against all that there are."""

import itertools

import numpy as np
import pytest

from keras_roots.convolutions.knapsack import check_budget, least_error, use_up


def test_least_error_of_all_choices():
    """Every choice with as many multiply-adds or fewer has no lower error."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        macs = [rng.integers(1, 100, size=5) for _ in range(3)]
        errors = [rng.uniform(size=5) for _ in range(3)]
        limit = int(sum(m.min() for m in macs) + rng.integers(0, 100))
        chosen = least_error(errors, macs, limit)
        used = sum(m[i] for m, i in zip(macs, chosen, strict=True))
        error = sum(e[i] for e, i in zip(errors, chosen, strict=True))
        assert used <= limit
        for other in itertools.product(range(5), repeat=3):
            if sum(m[i] for m, i in zip(macs, other, strict=True)) <= used:
                found = sum(e[i] for e, i in zip(errors, other, strict=True))
                assert found >= error - 1e-12


def test_the_rest_of_the_budget():
    errors = [np.array([0.0, 0.5, 0.9]), np.array([0.0, 0.3, 0.4])]
    macs = [np.array([100, 30, 10]), np.array([50, 20, 10])]
    assert use_up([2, 2], errors, macs, 45) == [1, 2]  # 5 remain, and no option fits
    assert use_up([2, 2], errors, macs, 50) == [1, 1]
    assert use_up([2, 2], errors, macs, 1000) == [0, 0]


@pytest.mark.parametrize(
    ("least", "message"),
    [
        (0.5401, r"must be at least 0\.541: with all of them .* model's macs is left"),
        (0.9995, "cannot be met: none of .* saves a thousandth .* macs"),
        (1.0, "cannot be met: none of .* even with all of them"),
        (1.4, "cannot be met: none of"),
    ],
)
def test_a_budget_that_cannot_be_met(least, message):
    """Named budgets can be given: all of them are below 1."""
    with pytest.raises(ValueError, match=f"`budget` {message}.*budget=0.5"):
        check_budget(0.5, least, "macs", "all of them")
    check_budget(0.5, 0.5, "macs", "all of them")
