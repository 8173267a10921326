"""Filters as points in the plane: k-means clusters, separated by Fisher's LDA."""

import os
from collections.abc import Mapping

import numpy as np
from scipy.linalg import eigh

from keras_roots.analysis import figures
from keras_roots.utils import checks, kmeans

_STARTS, _ITERATIONS = 4, 100  # of k-means; the best start counts


def project_filters(
    kernel: np.ndarray, clusters: int = 4, seed: int = 0, shrinkage: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Projects the filters of a convolution to two dimensions.

    As Figure 2 of Wen et al., Force Regularization (ICCV 2017): the directions of the
    filters are clustered by k-means, and projected by Fisher's linear discriminant
    analysis with the clusters as classes. Each axis is in units of the deviation
    within clusters.

    Args:
        kernel: `(height, width, channels, filters)`. Filters are scaled to length 1.
        clusters: Number of clusters, at least 3 and fewer than the filters.
        seed: Seed of k-means.
        shrinkage: From 0 to 1: the part of the scatter within clusters that is
            assumed to be the same in all directions. A first layer has more weights
            per filter than filters: with 0 each cluster could become one point.

    Returns:
        Points `[filters, 2]`, the best direction first, and the cluster of each filter.

    Raises:
        ValueError: An argument is impossible, or weights are not finite.

    Example:
        >>> points, labels = project_filters(model.get_layer("conv1").kernel)
    """
    directions = _directions(kernel)
    if checks.integer("clusters", clusters, least=3) >= len(directions):
        raise ValueError(
            f"`clusters` must be fewer than the {len(directions)} filters. "
            f"Received: clusters={clusters!r}"
        )
    shrinkage = checks.part("shrinkage", shrinkage, zero=True, one=True)
    centroids, labels = kmeans(
        directions, clusters, _STARTS, checks.seed(seed), _ITERATIONS
    )
    centred = directions - directions.mean(axis=0)
    within = directions - centroids[labels]
    return centred @ _discriminants(centred, within, shrinkage), labels


def plot_filters(
    kernels: dict[str, np.ndarray],
    path: str | os.PathLike,
    clusters: int = 4,
    seed: int = 0,
) -> None:
    """Draws the filters of a layer as points, one panel per network.

    Figure 2 of Wen et al., Force Regularization (ICCV 2017): the filters of a
    coordinated network lie in tighter clusters.

    Args:
        kernels: Kernels by the name of the network, as for `project_filters`.
        path: Picture to write; its suffix says the format: .png, .pdf, .svg.
        clusters: As for `project_filters`.
        seed: As for `project_filters`.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no kernels, as `project_filters` raises, or the format is
            not known.
        OSError: The file cannot be written.
    """
    path = checks.path("path", path, required=True)
    checks.instance("kernels", kernels, Mapping, "kernels by the name of the network")
    if not kernels:
        raise ValueError(
            f"`kernels` must hold at least one kernel. Received: kernels={kernels!r}"
        )
    projections = {
        name: project_filters(kernel, clusters, seed)
        for name, kernel in kernels.items()
    }
    looks = figures.styles(range(clusters))
    figure, panels = figures.panels(len(projections), 3.6, 3.4, most_columns=3)
    for axes, (name, (points, labels)) in zip(panels, projections.items(), strict=True):
        figures.style_axes(axes)
        for cluster, look in looks.items():
            axes.plot(
                *points[labels == cluster].T,
                look.marker,
                color=look.color,
                markeredgecolor="white",
                markeredgewidth=0.5,
                markersize=6,
                alpha=0.85,
            )
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_title(f"{name} ({len(points)} filters)", fontsize=10)
    figure.supxlabel("first discriminant (deviations within clusters)", fontsize=10)
    figure.supylabel("second discriminant", fontsize=10)
    figures.save(figure, path)


def _directions(kernel) -> np.ndarray:
    shape = "(height, width, channels, filters)"
    kernel = checks.array("kernel", kernel, (None,) * 4, shape).astype("float64")
    filters = kernel.reshape(-1, kernel.shape[-1]).T
    lengths = np.linalg.norm(filters, axis=1, keepdims=True)
    return filters / np.where(lengths > 0, lengths, 1.0)


def _discriminants(centred, within, shrinkage) -> np.ndarray:
    """Returns the two directions that best separate the clusters, `[D, 2]`."""
    count, dimensions = centred.shape
    total = centred.T @ centred / count
    inner = within.T @ within / count
    # Clusters without any extent must not be divided by it.
    least = 1e-9 * np.trace(total) / dimensions or 1.0
    even = shrinkage * np.trace(inner) / dimensions + least
    scatter = (1 - shrinkage) * inner + even * np.eye(dimensions)
    return eigh(total - inner, scatter)[1][:, :-3:-1]
