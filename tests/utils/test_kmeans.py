"""k-means clusters."""

import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans

from keras_roots.utils.kmeans import kmeans, squared_distance

CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return np.repeat(CENTRES, 20, axis=0) + rng.normal(0, 0.1, (60, 2))


def test_separated_clusters_are_found(points):
    centroids, labels = kmeans(points, 3, starts=4)
    found = centroids[np.lexsort(centroids.T)]
    np.testing.assert_allclose(found, CENTRES[np.lexsort(CENTRES.T)], atol=0.2)
    assert sorted(np.bincount(labels)) == [20, 20, 20]
    distances = ((points[:, None] - centroids) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, distances.argmin(axis=1))
    expected = distances.min(axis=1).sum()
    assert squared_distance(points, centroids, labels) == pytest.approx(expected)


def test_the_seed_decides(points):
    for one, two in zip(kmeans(points, 5, 1, 3), kmeans(points, 5, 1, 3), strict=True):
        np.testing.assert_array_equal(one, two)


def test_more_starts_are_no_worse():
    points = np.random.default_rng(1).normal(size=(80, 4))
    once, often = (
        squared_distance(points, *kmeans(points, 8, starts=n)) for n in (1, 10)
    )
    assert often <= once


def test_points_that_coincide_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        centroids, labels = kmeans(np.ones((6, 2)), 3)
    assert squared_distance(np.ones((6, 2)), centroids, labels) == 0


@pytest.mark.parametrize("clusters", [1, 2, 5, 9, 40])
def test_clusters_are_as_good_as_those_of_scikit_learn(clusters):
    points = np.random.default_rng(1).normal(size=(40, 7))
    centroids, labels = kmeans(points, clusters, starts=4)
    reference = KMeans(clusters, n_init=8, random_state=0).fit(points)
    ours = np.square(points - centroids[labels]).sum()
    assert ours <= 1.03 * reference.inertia_ + 1e-9
    again = kmeans(points, clusters, starts=4)
    np.testing.assert_array_equal(again[1], labels)
