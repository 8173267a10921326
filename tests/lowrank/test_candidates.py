"""The rank of one layer: the least within an error, and rounded up where that pays."""

import numpy as np
import pytest

from keras_roots import plan_decomposition


@pytest.mark.parametrize("error", [0.05, 0.3, 0.6])
def test_least_rank_within_the_error(model, error):
    """Each group of the same rank, its error relative to the whole kernel."""
    for row in plan_decomposition(model, error, cost=None).layers:
        kernel = model.get_layer(row.name).get_weights()[0].astype("float64")
        parts = np.split(kernel.reshape(-1, kernel.shape[-1]), row.groups, axis=1)
        energies = sum(np.linalg.svd(part, compute_uv=False) ** 2 for part in parts)
        rank = row.rank // row.groups
        assert energies[rank:].sum() <= error * energies.sum()
        assert energies[rank - 1 :].sum() > error * energies.sum()
        assert row.error == pytest.approx(energies[rank:].sum() / energies.sum())


@pytest.mark.parametrize(("multiple", "ranks"), [(4, [8, 16]), (8, [8, 16])])
def test_ranks_in_multiples(model, multiple, ranks):
    error = {row.name: row.error for row in _at(model, [7, 14]).layers}
    bound = max(error["dense"], error["grouped"]) + 1e-6
    plan = plan_decomposition(
        model, bound, layers=["dense", "grouped"], rank_multiple=multiple
    )
    for row in plan.layers[:2]:
        assert (row.rank // row.groups) % multiple == 0


def test_no_multiple_beyond_break_even(model):
    """54 x 16: at 12 of rank, 840 weights for 864; 16 would be 1120."""
    error = _at(model, [9, 12]).layers[0].error + 1e-9
    for multiple, rank in ((1, 9), (4, 12), (16, 12)):
        plan = plan_decomposition(
            model, error, layers=["dense"], rank_multiple=multiple
        )
        assert plan.layers[0].rank == rank
        assert plan.layers[0].way == "rank"


def _at(model, ranks):
    names = ("dense", "grouped")
    return plan_decomposition(
        model, ranks=dict(zip(names, ranks, strict=True)), cost=None
    )
