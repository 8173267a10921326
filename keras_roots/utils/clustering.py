"""k-means clustering in NumPy."""

import numbers

import numpy as np

_MOST_ITERATIONS = 300


def kmeans(
    points: np.ndarray, clusters: int, seed: int = 0, restarts: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters points by Lloyd's algorithm, started by k-means++.

    Deterministic for a given seed. No cluster is empty: one that loses its last point
    takes the point farthest from its own centroid.

    Args:
        points: `[N, D]`.
        clusters: Number of clusters, 1 to N.
        seed: Seed of the starts.
        restarts: How many starts to try; the one with the least squared distance wins.

    Returns:
        Centroids `[clusters, D]` in float64, each the mean of its points, and the
        cluster of every point, `[N]`.

    Raises:
        ValueError: An argument is impossible, or points are not finite.

    Example:
        >>> centroids, labels = kmeans(np.array([[0.0], [1.0], [9.0]]), 2)
        >>> sorted(centroids.ravel().tolist())
        [0.5, 9.0]
    """
    points = np.asarray(points, "float64")
    _check(points, clusters, restarts)
    rng = np.random.default_rng(seed)
    runs = [
        _lloyd(points, _spread(points, clusters, rng), clusters)
        for _ in range(restarts)
    ]
    return min(runs, key=lambda run: _residuals(points, *run).sum())


def _check(points, clusters, restarts):
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError(
            "`points` must be a matrix of finite numbers, one row per point. "
            f"Received: points of shape {points.shape}"
        )
    if not isinstance(clusters, numbers.Integral) or not 1 <= clusters <= len(points):
        raise ValueError(
            f"`clusters` must be an integer from 1 to the {len(points)} points. "
            f"Received: clusters={clusters!r}"
        )
    if not isinstance(restarts, numbers.Integral) or restarts < 1:
        raise ValueError(
            f"`restarts` must be a positive integer. Received: restarts={restarts!r}"
        )


def _spread(points, clusters, rng) -> np.ndarray:
    """Draws centroids from the points, far ones more likely (k-means++)."""
    chosen = [rng.integers(len(points))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < clusters:
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        total = nearest.sum()
        odds = nearest / total if total > 0 else None  # every point is a centroid
        chosen.append(rng.choice(len(points), p=odds))
    return points[chosen]


def _lloyd(points, centroids, clusters) -> tuple[np.ndarray, np.ndarray]:
    labels = None
    for _ in range(_MOST_ITERATIONS):
        previous, labels = labels, _nearest(points, centroids)
        _fill(points, centroids, labels)
        centroids = _means(points, labels, clusters)
        if np.array_equal(labels, previous):
            break
    return centroids, labels


def _nearest(points, centroids) -> np.ndarray:
    # Squared distance less the point's own square, which changes no order.
    return ((centroids**2).sum(axis=1) - 2 * points @ centroids.T).argmin(axis=1)


def _fill(points, centroids, labels):
    """Gives every empty cluster a point of a cluster that has others."""
    counts = np.bincount(labels, minlength=len(centroids))
    if counts.all():
        return
    farthest = iter(np.argsort(-_residuals(points, centroids, labels), kind="stable"))
    for empty in np.flatnonzero(counts == 0):
        point = next(point for point in farthest if counts[labels[point]] > 1)
        counts[labels[point]] -= 1
        counts[empty] += 1
        labels[point] = empty


def _means(points, labels, clusters) -> np.ndarray:
    members = np.zeros((clusters, len(points)))
    members[labels, np.arange(len(points))] = 1
    return members @ points / members.sum(axis=1, keepdims=True)


def _residuals(points, centroids, labels) -> np.ndarray:
    """Returns the squared distance of every point to its centroid."""
    return ((points - centroids[labels]) ** 2).sum(axis=1)
