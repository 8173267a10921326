"""k-means clusters of points, by SciPy."""

import warnings

import numpy as np


def kmeans(
    points: np.ndarray,
    clusters: int,
    starts: int = 1,
    seed: int | None = 0,
    iterations: int = 30,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best of several k-means clusterings.

    Args:
        points: Points `[n, dimensions]`, float.
        clusters: How many clusters; one may stay empty where points coincide.
        starts: How often to start anew, by k-means++.
        seed: Seed of the starts.
        iterations: Iterations of each start.

    Returns:
        Centroids `[clusters, dimensions]`, and the cluster of each point `[n]`.
    """
    from scipy.cluster.vq import kmeans2  # so that importing the package stays quick

    rng = np.random.default_rng(seed)
    # Points that coincide give no distances to draw from, and empty clusters.
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        found = [
            kmeans2(points, clusters, iterations, minit="++", seed=rng)
            for _ in range(starts)
        ]
    return min(found, key=lambda each: squared_distance(points, *each))


def squared_distance(
    points: np.ndarray, centroids: np.ndarray, labels: np.ndarray
) -> float:
    """Returns the sum of squared distances of points to their centroids.

    Args:
        points: As for `kmeans`.
        centroids: Centroids.
        labels: Cluster of each point.
    """
    return float(np.square(points - centroids[labels]).sum())
