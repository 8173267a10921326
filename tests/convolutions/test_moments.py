"""Moments of samples added batch by batch, against NumPy on all of them at once."""

import numpy as np
import pytest

from keras_roots.convolutions.moments import Moments


@pytest.fixture
def samples():
    """Sixty samples of two groups, far from zero, and answers that depend on them."""
    rng = np.random.default_rng(0)
    seen = 5 + rng.normal(size=(60, 2, 4)) * [1, 2, 3, 0.1]
    weights = rng.normal(size=(2, 4, 3))
    answers = np.einsum("ngw,gwa->nga", seen, weights) + rng.normal(size=(60, 2, 3))
    return seen, answers + 7


def _moments(*arrays, batches=(10, 11, 60)):
    moments = Moments()
    for parts in zip(*(np.split(array, batches[:-1]) for array in arrays), strict=True):
        moments.add(*parts)
    return moments


def test_mean_and_covariance(samples):
    moments = _moments(samples[0])
    assert moments.count == 60
    np.testing.assert_allclose(moments.mean, samples[0].mean(0))
    for group in range(2):
        want = np.cov(samples[0][:, group].T, bias=True)
        np.testing.assert_allclose(moments.covariance[group], want, atol=1e-12)


def test_small_deviations_from_a_large_mean():
    seen = 1e8 + np.random.default_rng(0).normal(size=(60, 1, 3))
    want = np.cov((seen[:, 0] - 1e8).T, bias=True)
    np.testing.assert_allclose(_moments(seen).covariance[0], want, rtol=1e-5)


@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_least_squares(samples, shifted, ridge):
    """The normal equations, with a column of ones that is not held back."""
    seen, answers = samples
    weights, shifts = _moments(seen, answers).fit(ridge, shifted)
    for group in range(2):
        columns = seen[:, group]
        held = ridge * np.square(columns).sum() / 4 * np.eye(4)
        if shifted:
            columns = np.column_stack([columns, np.ones(60)])
            held = np.pad(held, ((0, 1), (0, 1)))
        want = np.linalg.solve(
            columns.T @ columns + held, columns.T @ answers[:, group]
        )
        np.testing.assert_allclose(weights[group], want[:4], atol=1e-8)
        np.testing.assert_allclose(shifts[group], want[4] if shifted else 0, atol=1e-8)


def test_nothing_seen_answers_the_mean():
    seen, answers = np.zeros((20, 1, 3)), np.full((20, 1, 2), 4.0)
    weights, shifts = _moments(seen, answers, batches=(5, 20)).fit(1e-4, True)
    assert not weights.any()
    np.testing.assert_array_equal(shifts, [[4, 4]])
