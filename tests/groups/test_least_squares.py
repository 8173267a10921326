"""Kernels with groups fitted to the responses of one layer."""

import helpers
import numpy as np
import pytest

from keras_roots.groups import assignment, least_squares

IMAGES = np.random.default_rng(0).normal(size=(40, 4, 4, 4)) + 1


@pytest.fixture
def statistics():
    """Of a 1x1, whose patches are the pixels."""
    model = helpers.one_layer(helpers.conv(4, 1, name="point"), shape=(4, 4, 4))
    return least_squares.input_statistics(model, ["point"], IMAGES)["point"]


def test_moments_are_those_of_the_patches(statistics):
    pixels = IMAGES.reshape(-1, 4)
    np.testing.assert_allclose(statistics.mean, pixels.mean(axis=0), rtol=1e-5)
    expected = np.cov(pixels.T, bias=True)
    np.testing.assert_allclose(statistics.covariance, expected, atol=1e-5)


def test_a_layer_that_two_models_share_counts_in_both():
    """Under two names."""
    conv = helpers.conv(4, 1, name="conv")
    model = helpers.shared_by_two_models(conv, shape=(4, 4, 4))
    found = least_squares.input_statistics(model, ["one/conv"], IMAGES)["one/conv"]
    seen = np.concatenate([IMAGES, np.asarray(conv(IMAGES))]).reshape(-1, 4)
    np.testing.assert_allclose(found.mean, seen.mean(axis=0), atol=1e-5)


def test_one_group_is_the_kernel_itself(statistics):
    whole = assignment.Grouping(np.arange(4), np.arange(4), 1.0)
    fitted = statistics.fit(whole, 1)
    np.testing.assert_allclose(fitted, statistics.kernel, rtol=1e-3, atol=1e-3)
    assert statistics.lost(fitted) == pytest.approx(0, abs=1e-6)
    assert statistics.lost(0 * fitted) == 1


def test_groups_see_their_own_inputs_only(statistics):
    grouping = assignment.Grouping(np.array([0, 3, 1, 2]), np.array([1, 2, 0, 3]), 0.5)
    fitted = statistics.fit(grouping, 2)
    used = fitted[0, 0] != 0
    expected = np.zeros((4, 4), bool)
    expected[np.ix_([0, 3], [1, 2])] = expected[np.ix_([1, 2], [0, 3])] = True
    np.testing.assert_array_equal(used, expected)
    # No other kernel within these groups misses less.
    lost = statistics.lost(fitted)
    for step in np.random.default_rng(1).normal(scale=0.05, size=(20, 4, 4)):
        assert statistics.lost(fitted + step * used) >= lost - 1e-6


def test_a_shift_makes_up_for_the_mean(statistics):
    other = 0.5 * statistics.kernel
    pixels = IMAGES.reshape(-1, 4)
    missed = pixels @ (statistics.kernel - other)[0, 0]
    np.testing.assert_allclose(statistics.shift(other), missed.mean(axis=0), atol=1e-5)


def test_a_1x1_behind_filters_that_span_all_inputs_makes_up_for_all(statistics):
    grouping = assignment.Grouping(np.arange(4), np.arange(4), 0.5)
    fitted = statistics.fit(grouping, 2)
    assert statistics.lost(fitted) > 0.1
    assert statistics.lost(statistics.mix(fitted)) == pytest.approx(0, abs=1e-3)
