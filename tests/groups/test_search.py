"""The search for groups, through `group_channels`."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from keras_roots.groups import search
from keras_roots.groups.assignment import energy_matrix, group_channels


def _random(shape, seed=0):
    return energy_matrix(np.random.default_rng(seed).normal(size=(3, 3, *shape)))


def test_kept_energy_is_that_within_groups():
    energy = np.arange(6.0).reshape(2, 3)
    labels = np.array([0, 1]), np.array([1, 0, 1])
    assert search.kept_energy(energy, labels) == (1 + 3 + 5) / 15
    assert search.kept_energy(0 * energy, labels) == 1


def _assigned(scores, size):
    """Group of each channel, `size` of them in each, for the most score."""
    places = np.repeat(scores, size, axis=1)
    return linear_sum_assignment(places, maximize=True)[1] // size


@pytest.mark.parametrize("seed", [1, 2])
def test_swaps_lead_beyond_assignments_in_turn(seed):
    energy, each, eye = _random((48, 48), seed), 12, np.eye(4)
    rng = np.random.default_rng(seed)
    reached = []
    for _ in range(8):
        inputs = rng.permutation(np.arange(48) // each)
        for _ in range(20):
            filters = _assigned(energy.T @ eye[inputs], each)
            inputs = _assigned(energy @ eye[filters], each)
        reached.append(energy[inputs[:, None] == filters].sum() / energy.sum())
    found = group_channels(energy, 4, seed=seed, restarts=2)
    assert found.kept > 1.01 * max(reached)
    # No swap of a pair is left that gains.
    inputs, filters = np.empty((2, 48), "int64")
    inputs[found.inputs] = filters[found.filters] = np.arange(48) // each
    scores = energy @ eye[filters]
    gains = scores - scores[np.arange(48), inputs][:, None]
    assert (gains[:, inputs] + gains[:, inputs].T).max() <= 1e-9


def test_groups_are_in_the_order_of_their_first_inputs():
    found = group_channels(_random((24, 36)), 6, restarts=1)
    inputs, filters = found.inputs.reshape(6, 4), found.filters.reshape(6, 6)
    np.testing.assert_array_equal(inputs, np.sort(inputs, axis=1))
    np.testing.assert_array_equal(filters, np.sort(filters, axis=1))
    np.testing.assert_array_equal(inputs[:, 0], np.sort(inputs[:, 0]))


def test_more_restarts_never_keep_less():
    kept = np.array(
        [
            [
                group_channels(_random((24, 24), seed), 6, restarts=count).kept
                for count in (0, 1, 3)
            ]
            for seed in range(3)
        ]
    )
    assert (np.diff(kept) >= 0).all()
    assert (kept[:, -1] > kept[:, 0]).any()


def test_the_seed_decides():
    energy = _random((40, 40))
    one, again, other = (
        group_channels(energy, 5, seed=seed, restarts=1) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.inputs, again.inputs)
    np.testing.assert_array_equal(one.filters, again.filters)
    assert one.kept == again.kept != other.kept


def test_the_scale_of_energies_does_not_matter():
    energy = _random((24, 24))
    small, large = (
        group_channels(scale * energy, 4, restarts=1) for scale in (2.0**-60, 2.0**60)
    )
    np.testing.assert_array_equal(small.inputs, large.inputs)
    assert small.kept == large.kept
