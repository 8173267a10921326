import numpy as np
import pytest
from sklearn.cluster import KMeans

from keras_roots.utils.clustering import kmeans


def _blobs(clusters=4, each=12, dimensions=6, seed=0):
    rng = np.random.default_rng(seed)
    centers = 10 * rng.normal(size=(clusters, dimensions))
    points = centers.repeat(each, axis=0) + rng.normal(size=(clusters * each, 1))
    order = rng.permutation(len(points))
    return points[order], np.arange(clusters).repeat(each)[order]


def _same_partition(labels, others) -> bool:
    pairs = set(zip(labels.tolist(), others.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(others.tolist()))


def test_separated_clusters_are_found():
    points, want = _blobs()
    centroids, labels = kmeans(points, 4)
    assert _same_partition(labels, want)
    for cluster in range(4):
        np.testing.assert_allclose(
            centroids[cluster], points[labels == cluster].mean(axis=0)
        )


@pytest.mark.parametrize("clusters", [1, 2, 5, 9, 40])
def test_as_good_as_scikit_learn(clusters):
    points = np.random.default_rng(1).normal(size=(40, 7))
    centroids, labels = kmeans(points, clusters, restarts=8)
    ours = ((points - centroids[labels]) ** 2).sum()
    reference = KMeans(clusters, n_init=8, random_state=0).fit(points)
    assert ours <= 1.03 * reference.inertia_ + 1e-9
    assert sorted(set(labels.tolist())) == list(range(clusters))


def test_every_point_is_with_its_nearest_centroid():
    points = np.random.default_rng(2).normal(size=(60, 3))
    centroids, labels = kmeans(points, 5)
    distances = ((points[:, None] - centroids) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, distances.argmin(axis=1))


def test_more_clusters_than_distinct_points():
    points = np.repeat([[0.0, 1.0], [5.0, 5.0]], 4, axis=0)
    centroids, labels = kmeans(points, 6)
    assert sorted(set(labels.tolist())) == list(range(6))
    np.testing.assert_allclose(centroids[labels], points)


def test_the_seed_decides():
    points = np.random.default_rng(3).normal(size=(50, 4))
    one, other = kmeans(points, 7, seed=5), kmeans(points, 7, seed=5)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    starts = {kmeans(points, 7, seed, restarts=1)[1].tobytes() for seed in range(8)}
    assert len(starts) > 1


def test_more_restarts_are_never_worse_and_often_better():
    points = np.random.default_rng(4).normal(size=(80, 5))

    def inertia(seed, restarts):
        centroids, labels = kmeans(points, 12, seed, restarts)
        return ((points - centroids[labels]) ** 2).sum()

    one, many = np.array([(inertia(s, 1), inertia(s, 10)) for s in range(4)]).T
    assert (many <= one).all()
    assert (many < one).sum() >= 2


@pytest.mark.parametrize(
    "arguments,message",
    [
        (dict(clusters=0), "clusters=0"),
        (dict(clusters=4), "1 to the 3 points.*clusters=4"),
        (dict(clusters=1.5), "clusters=1.5"),
        (dict(restarts=0), "restarts=0"),
        (dict(points=np.zeros(3)), r"shape \(3,\)"),
        (dict(points=np.full((3, 2), np.nan)), "finite"),
        (dict(points=np.zeros((0, 2))), "0 points"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kmeans(**{"points": np.zeros((3, 2)), "clusters": 2, **arguments})
