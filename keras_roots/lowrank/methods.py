"""The factorisations: what the two convolutions of a decomposed one hold.

All work on each filter group by itself, in float64, at one rank for all groups.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_roots import convolutions
from keras_roots.convolutions import ResponseStatistics
from keras_roots.lowrank import ranks
from keras_roots.lowrank.schemes import CROSS_FILTER, SEPARABLE, Scheme
from keras_roots.utils import kmeans, squared_distance

_STARTS = 4  # of k-means; the best one counts
_RIDGE = 1e-3  # of the mean variance of responses: what keeps a fit from noise
_NOTHING = 1e-9  # that only keeps matrices regular

# Error by rank per group.
Errors = Callable[[int], float]


class Target(NamedTuple):
    """A convolution to approximate.

    Attributes:
        kernel: `[height, width, channels / groups, N]`, float64.
        groups: Filter groups.
        responses: Statistics of the responses of the method's `basis` to images, for
            methods that go by them.
    """

    kernel: np.ndarray
    groups: int
    responses: ResponseStatistics | None = None


class Factors(NamedTuple):
    """Kernels of the two convolutions that approximate one.

    Attributes:
        first: Kernel of the first, `[.., .., channels / groups, M]`.
        second: Kernel of the second, `[.., .., M / groups, N]`.
        shift: What the biases of the second are higher than the layer's, `[N]`;
            `None` for nothing.
    """

    first: np.ndarray
    second: np.ndarray
    shift: np.ndarray | None = None


class Method(NamedTuple):
    """A way to approximate a convolution by two.

    Attributes:
        scheme: Which two.
        errors: Function of a `Target`: the function from rank per group to relative
            squared error.
        factorise: Function of a `Target` and the rank per group.
        full_rank: Function of kernel shape and groups: the highest rank over all
            groups, at which nothing is lost.
        by_responses: Whether it goes by statistics of responses, and shifts biases.
        every_rank: Whether errors at all ranks come at the cost of one.
        basis: Function of a `Target` and the rank per group: the filters whose answers
            the statistics are of; `None` for the layer's own.
    """

    scheme: Scheme
    errors: Callable[[Target], Errors]
    factorise: Callable[[Target, int], Factors]
    full_rank: Callable[[tuple[int, ...], int], int]
    by_responses: bool = False
    every_rank: bool = True
    basis: Callable[[Target, int], np.ndarray] | None = None


def _spectral_errors(eigenvalues) -> Errors:
    """Errors of groups that all keep as many of their leading directions."""
    errors = ranks.relative_errors(eigenvalues.sum(axis=0))
    return lambda rank: float(errors[min(rank, len(errors) - 1)])


def _filter_errors(target) -> Errors:
    return _spectral_errors(ranks.spectrum(_matrices(target)))


def _separable_errors(target) -> Errors:
    matrices = convolutions.to_separable_matrices(target.kernel, target.groups)
    return _spectral_errors(ranks.spectrum(matrices))


def _response_errors(target) -> Errors:
    values = np.linalg.eigvalsh(target.responses.covariance)[:, ::-1]
    return _spectral_errors(np.maximum(values, 0))


def _cluster_errors(target) -> Errors:
    points = _points(target)
    total = sum((group**2).sum() for group in points)

    @functools.cache
    def error(rank):
        if total == 0:
            return 0.0
        left = 0.0
        for group in points:
            centroids, labels = kmeans(group, rank, _STARTS)
            left += squared_distance(group, centroids, labels)
        return float(left / total)

    return error


def _pca(target, rank) -> Factors:
    """Leading eigenvectors of the filters, and what combines them."""
    left, values, right = _svd(_matrices(target), rank)
    return _cross_filter(target, left, values[..., None] * right)


def _svd_shared(target, rank) -> Factors:
    """The same subspace; each factor gets the root of the singular values."""
    left, values, right = _svd(_matrices(target), rank)
    roots = np.sqrt(values)
    return _cross_filter(target, left * roots[:, None], roots[..., None] * right)


def _clusters(target, rank) -> Factors:
    """Centroids of the filters, each of which takes that of its cluster."""
    matrices = _matrices(target)
    basis, chosen = [], []
    for matrix, points in zip(matrices, _points(target), strict=True):
        members = np.eye(rank)[:, kmeans(points, rank, _STARTS)[1]]
        # A cluster without members gets a filter of zeros.
        basis.append(matrix @ members.T / np.maximum(members.sum(axis=1), 1))
        chosen.append(members)
    return _cross_filter(target, np.stack(basis), np.stack(chosen))


def _separable(target, rank) -> Factors:
    """Filters along the height, then along the width (Tai et al., section 3)."""
    height, width, channels, _ = target.kernel.shape
    matrices = convolutions.to_separable_matrices(target.kernel, target.groups)
    left, values, right = _svd(matrices, rank)
    roots = np.sqrt(values)
    rows = roots[..., None] * right
    return Factors(
        convolutions.from_matrices(left * roots[:, None], height, 1, channels),
        _along_width(rows.reshape(target.groups, rank, width, -1)),
    )


def _by_responses(target, rank) -> Factors:
    """The subspace that holds most of the variance of the responses.

    Zhang et al., Accelerating Very Deep Convolutional Networks (TPAMI 2016), section
    3.1: with y = W^T x and P its leading principal directions, y is approximated by
    P P^T (y - mean) + mean. Where others are wanted in the place of y, by what is
    nearest to them by least squares (section 3.3).
    """
    found = target.responses
    fit, covariance = _fit(found)
    directions = np.linalg.eigh(covariance)[1][..., : -rank - 1 : -1]
    transposed = directions.transpose(0, 2, 1)
    mean = found.mean.reshape(target.groups, -1, 1)
    wanted = mean
    if found.wanted is not None:
        wanted = found.wanted.reshape(mean.shape)
    shift = wanted - directions @ (transposed @ (fit.transpose(0, 2, 1) @ mean))
    factors = _cross_filter(target, _matrices(target) @ fit @ directions, transposed)
    return factors._replace(shift=shift.ravel())


def _fit(found) -> tuple[np.ndarray, np.ndarray]:
    """Weights that make wanted responses of those found, and the covariance of these.

    What holds them back holds them to the responses that are found.
    """
    squares = found.covariance
    identity = np.eye(squares.shape[-1])
    if found.products is None:
        return np.broadcast_to(identity, squares.shape), squares
    fit = identity + np.linalg.solve(_held(squares, _RIDGE), found.products - squares)
    return fit, fit.transpose(0, 2, 1) @ squares @ fit


def _vertical(target, rank) -> np.ndarray:
    """The filters along the height of a separable kernel, each of length 1."""
    height, _, channels, _ = target.kernel.shape
    matrices = convolutions.to_separable_matrices(target.kernel, target.groups)
    return convolutions.from_matrices(_svd(matrices, rank)[0], height, 1, channels)


def _separable_response_errors(target) -> Errors:
    """Errors of the best filters along the width, by least squares.

    The filters of a lower rank are the first of those of a higher one: one Cholesky
    factor tells how much each adds to what is explained of the responses. The full rank
    loses nothing, whether or not that was measured.
    """
    found, width = target.responses, target.kernel.shape[1]
    full = SEPARABLE.full_rank(target.kernel.shape, target.groups) // target.groups
    lower = np.linalg.cholesky(_held(found.covariance, _NOTHING))
    explained = (np.linalg.solve(lower, found.products) ** 2).sum(axis=(0, 2))
    gains = explained.reshape(-1, width).sum(axis=1)
    left = np.append(found.variance, found.variance - np.cumsum(gains))
    errors = np.clip(left / found.variance, 0, 1) if found.variance else 0 * left

    def error(rank):
        return float(errors[min(rank, len(errors) - 1)]) if rank < full else 0.0

    return error


def _separable_by_responses(target, rank) -> Factors:
    """Filters along the height, and what the responses need of them along the width.

    The first are those of `_separable`; the second are fitted by least squares to what
    the layer should answer, as Zhang et al. (TPAMI 2016), section 3.3, fit kernels.
    """
    found = target.responses
    height, width, channels, _ = target.kernel.shape
    seen = slice(0, rank * width)
    squares, products = found.covariance[:, seen, seen], found.products[:, seen]
    matrices = convolutions.to_separable_matrices(target.kernel, target.groups)
    left, values, right = _svd(matrices, rank)
    own = (values[..., None] * right).reshape(target.groups, rank * width, -1)
    rows = own + np.linalg.solve(_held(squares, _RIDGE), products - squares @ own)
    mean = found.mean.reshape(target.groups, -1)[:, seen]
    shift = found.wanted - np.einsum("gw,gwn->gn", mean, rows).ravel()
    return Factors(
        convolutions.from_matrices(left, height, 1, channels),
        _along_width(rows.reshape(target.groups, rank, width, -1)),
        shift,
    )


def _along_width(rows) -> np.ndarray:
    """The kernel of `[groups, rank, width, filters / groups]`."""
    groups, rank, width, filters = rows.shape
    return rows.transpose(2, 1, 0, 3).reshape(1, width, rank, groups * filters)


def _held(squares, ridge) -> np.ndarray:
    """Squares of what weights are fitted to, and a part of them that holds these."""
    held = ridge * np.trace(squares, axis1=1, axis2=2) / squares.shape[-1]
    held = held[:, None, None] + np.finfo("float64").tiny
    return squares + held * np.eye(squares.shape[-1])


def _matrices(target):
    return convolutions.to_matrices(target.kernel, target.groups)


def _points(target) -> list[np.ndarray]:
    """Filters of each group, turned so that they have no more coordinates than N."""
    return [np.linalg.qr(matrix)[1].T for matrix in _matrices(target)]


def _svd(matrices, rank):
    left, values, right = np.linalg.svd(matrices, full_matrices=False)
    return left[..., :rank], values[:, :rank], right[:, :rank]


def _cross_filter(target, basis, weights) -> Factors:
    height, width, channels, _ = target.kernel.shape
    return Factors(
        convolutions.from_matrices(basis, height, width, channels),
        convolutions.from_matrices(weights, 1, 1, weights.shape[1]),
    )


METHODS = {
    "pca": Method(CROSS_FILTER, _filter_errors, _pca, CROSS_FILTER.full_rank),
    "svd": Method(CROSS_FILTER, _filter_errors, _svd_shared, CROSS_FILTER.full_rank),
    "kmeans": Method(
        CROSS_FILTER,
        _cluster_errors,
        _clusters,
        lambda kernel_shape, groups: kernel_shape[-1],  # every filter its own cluster
        every_rank=False,
    ),
    "separable": Method(SEPARABLE, _separable_errors, _separable, SEPARABLE.full_rank),
    "responses": Method(
        CROSS_FILTER,
        _response_errors,
        _by_responses,
        CROSS_FILTER.full_rank,
        by_responses=True,
    ),
    "separable_responses": Method(
        SEPARABLE,
        _separable_response_errors,
        _separable_by_responses,
        SEPARABLE.full_rank,
        by_responses=True,
        basis=_vertical,
    ),
}


def factorise(method: str, target: Target, rank: int) -> Factors:
    """Returns the kernels of the two convolutions that approximate one.

    Args:
        method: One of `METHODS`.
        target: The convolution.
        rank: Rank over all groups.
    """
    return METHODS[method].factorise(target, rank // target.groups)


# What is fitted to sample images.
BY_RESPONSES = tuple(name for name, method in METHODS.items() if method.by_responses)

# The "LRA" of Force Regularization for AlexNet: separable early, cross-filter late.
ALEXNET_LRA = {
    "conv1": "separable",
    "conv2": "separable",
    "conv3": "pca",
    "conv4": "pca",
    "conv5": "pca",
}
