"""Which inputs and which filters of a dense convolution become a filter group."""

import math
import numbers
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_roots.clustering import kmeans

# The search ends after so many swaps without a better grouping, of few channels sooner.
_PATIENCE = 400

_ROUNDING = 1e-12  # part of all energy below which a gain is none


class Grouping(NamedTuple):
    """Inputs and filters of a dense convolution in the order of their groups.

    Attributes:
        inputs: Permutation of the inputs, `[c_in]`: new input `i` is the old input
            `inputs[i]`. Each group takes a contiguous run.
        filters: Permutation of the filters, `[n]`, likewise.
        kept: Part of the energy that the groups keep, 0 to 1.
    """

    inputs: np.ndarray
    filters: np.ndarray
    kept: float


def energy_matrix(
    kernel: np.ndarray, input_scale: np.ndarray | None = None
) -> np.ndarray:
    """Returns the energy of the weights between every input and every filter.

    Args:
        kernel: Filters of a dense convolution, `(height, width, c_in, n)`.
        input_scale: Root mean square of each input, `[c_in]`, which its weights are
            multiplied by; `None` if all inputs count the same.

    Returns:
        Sums of squares over the window, `[c_in, n]`, in float64.

    Raises:
        ValueError: An argument has another shape or is not finite.

    Example:
        >>> energy_matrix(np.full((3, 3, 1, 2), 2.0))
        array([[36., 36.]])
    """
    kernel = np.asarray(kernel, "float64")
    if kernel.ndim != 4 or not np.isfinite(kernel).all():
        raise ValueError(
            "`kernel` must hold finite numbers, (height, width, inputs, filters). "
            f"Received: kernel of shape {kernel.shape}, "
            f"{(~np.isfinite(kernel)).sum()} numbers not finite"
        )
    energy = (kernel**2).sum(axis=(0, 1))
    if input_scale is None:
        return energy
    scale = np.asarray(input_scale, "float64")
    if scale.shape != energy.shape[:1] or not (np.isfinite(scale) & (scale >= 0)).all():
        raise ValueError(
            "`input_scale` must hold a finite number that is not negative for each of "
            f"the {len(energy)} inputs. Received: input_scale={input_scale!r}"
        )
    return energy * scale[:, None] ** 2


def group_channels(
    energy: np.ndarray,
    groups: int | None = None,
    *,
    sizes: Sequence[tuple[int, int]] | None = None,
    inputs: Sequence[int] | None = None,
    filters: Sequence[int] | None = None,
    seed: int = 0,
    restarts: int = 8,
) -> Grouping:
    """Cuts a dense convolution into filter groups that keep most of its energy.

    A filter group (Ioannou et al., Deep Roots, CVPR 2017, section 3) sees its own
    inputs only; the other weights of its filters are lost. Given the groups of one
    side, the best ones of the other are an assignment problem, which is solved
    exactly, for the two sides in turn (Dhillon et al., Information-Theoretic
    Co-Clustering, KDD 2003, alternates so, without the sizes). From there swaps of two
    inputs or two filters lead on, those that lose included (Kernighan and Lin, Bell
    System Technical Journal 49, 1970). Starts are plain slices, the clusters of
    inputs and filters on the leading singular vectors (Dhillon, Co-clustering
    Documents and Words, KDD 2001), and random groups. The best one of all is a local
    optimum: the problem is NP-hard.

    Args:
        energy: Energy between inputs and filters, `[c_in, n]`, as `energy_matrix`
            returns it; not negative.
        groups: Number of groups, of equal size.
        sizes: Instead of `groups`, the number of inputs and of filters of each group.
        inputs: Permutation of the inputs that stays as it is, so that only filters are
            chosen, for which the result is optimal. `range(c_in)` for the order that
            they have.
        filters: The same for the filters.
        seed: Seed of the random starts and of the search.
        restarts: Number of random starts; more never keep less.

    Returns:
        The groups. Where neither side is fixed, groups of the same size are in the
        order of their first inputs; channels within a group keep their order.

    Raises:
        ValueError: An argument is impossible.
        ImportError: SciPy is not installed.

    Example:
        >>> group_channels(np.array([[0, 5, 1, 4], [3, 0, 2, 1]]), 2)
        Grouping(inputs=array([0, 1]), filters=array([1, 3, 0, 2]), kept=0.875)
    """
    energy = _checked(energy)
    sizes = _sizes(energy, groups, sizes)
    if not isinstance(restarts, numbers.Integral) or restarts < 0:
        raise ValueError(
            "`restarts` must be an integer that is not negative. "
            f"Received: restarts={restarts!r}"
        )
    orders = [
        _permutation("inputs", inputs, energy.shape[0]),
        _permutation("filters", filters, energy.shape[1]),
    ]
    labels = [
        None if order is None else _labels(order, sizes[:, side])
        for side, order in enumerate(orders)
    ]
    labels = _chosen(energy, sizes, labels, seed, restarts)
    for side, order in enumerate(orders):
        if order is None:
            orders[side] = np.argsort(labels[side], kind="stable")
    return Grouping(*orders, _kept(energy, labels))


def plain_grouping(
    energy: np.ndarray,
    groups: int | None = None,
    *,
    sizes: Sequence[tuple[int, int]] | None = None,
) -> Grouping:
    """Returns the groups that slices make: inputs and filters in the order they have.

    Args:
        energy: As for `group_channels`.
        groups: As for `group_channels`.
        sizes: As for `group_channels`.

    Raises:
        ValueError: An argument is impossible.

    Example:
        >>> plain_grouping(np.ones((4, 4)), 2).kept
        0.5
    """
    energy = _checked(energy)
    sizes = _sizes(energy, groups, sizes)
    orders = [np.arange(size) for size in energy.shape]
    labels = [_labels(order, sizes[:, side]) for side, order in enumerate(orders)]
    return Grouping(*orders, _kept(energy, labels))


def _checked(energy) -> np.ndarray:
    energy = np.asarray(energy, "float64", order="C")
    valid = np.isfinite(energy) & (energy >= 0)
    if energy.ndim != 2 or not energy.size or not valid.all():
        raise ValueError(
            "`energy` must be a matrix of inputs and filters that holds finite numbers "
            "which are not negative, as `energy_matrix` returns it. "
            f"Received: energy of shape {energy.shape}, {(~valid).sum()} not valid"
        )
    return energy


def _sizes(energy, groups, sizes) -> np.ndarray:
    """Returns the number of inputs and filters of every group, `[groups, 2]`."""
    if (groups is None) == (sizes is None):
        raise ValueError(
            "Give one of `groups` and `sizes`. "
            f"Received: groups={groups!r}, sizes={sizes!r}"
        )
    channels, filters = energy.shape
    if sizes is None:
        common = math.gcd(channels, filters)
        works = [count for count in range(1, common + 1) if common % count == 0]
        integer = isinstance(groups, numbers.Integral) and groups is not True
        if not integer or groups not in works:
            raise ValueError(
                f"`groups` must divide the {channels} inputs and {filters} filters. "
                f"Received: groups={groups!r}; groups that work: {works}"
            )
        return np.tile([channels // groups, filters // groups], (groups, 1))
    array = np.array(sizes, "object")  # pairs of unequal length are no error yet
    pairs = array.ndim == 2 and array.shape[1] == 2
    counts = all(isinstance(size, numbers.Integral) and size > 0 for size in array.flat)
    if not pairs or not counts or tuple(array.sum(axis=0)) != energy.shape:
        raise ValueError(
            "`sizes` must be pairs of positive integers, the inputs and the filters of "
            f"each group, {channels} inputs and {filters} filters in all. "
            f"Received: sizes={sizes!r}"
        )
    return array.astype("int64")


def _permutation(name, order, size) -> np.ndarray | None:
    if order is None:
        return None
    array = np.array(order)
    if array.shape != (size,) or not np.array_equal(np.sort(array), np.arange(size)):
        raise ValueError(
            f"`{name}` must be a permutation of range({size}). "
            f"Received: {name}={order!r}"
        )
    return array.astype("int64")


def _labels(order, sizes) -> np.ndarray:
    """Returns the group of each channel, for their order and the groups' sizes."""
    labels = np.empty(len(order), "int64")
    labels[order] = np.repeat(np.arange(len(sizes)), sizes)
    return labels


def _kept(energy, labels) -> float:
    total = energy.sum()
    # Zeros are added up too, in the same order: 1 exactly where nothing is lost.
    kept = np.where(labels[0][:, None] == labels[1], energy, 0.0).sum()
    return float(kept / total) if total > 0 else 1.0


def _chosen(energy, sizes, labels, seed, restarts) -> Sequence[np.ndarray]:
    """Returns the groups of both sides, given those of none, one or both."""
    inputs, filters = labels
    if len(sizes) == 1:
        return [np.zeros(size, "int64") for size in energy.shape]
    if inputs is None and filters is None:
        return _in_order(_best(energy, sizes, seed, restarts), sizes)
    if inputs is None:
        inputs = _balanced(energy @ _members(filters, len(sizes)), sizes[:, 0])
    if filters is None:
        filters = _balanced(energy.T @ _members(inputs, len(sizes)), sizes[:, 1])
    return inputs, filters


def _best(energy, sizes, seed, restarts) -> Sequence[np.ndarray]:
    rng = np.random.default_rng(seed)
    plain = np.repeat(np.arange(len(sizes)), sizes[:, 0])
    starts = [plain, _spectral(energy, sizes, seed)]
    starts += [rng.permutation(plain) for _ in range(restarts)]
    found = []
    for start in starts:
        labels = _alternate(energy, start, sizes)
        inputs, _ = _swap(energy, labels, len(sizes), np.random.default_rng(seed))
        found.append(_alternate(energy, inputs, sizes))
    return max(found, key=lambda labels: _kept(energy, labels))


def _alternate(energy, inputs, sizes) -> tuple[np.ndarray, np.ndarray]:
    """Assigns filters and inputs in turn, from the inputs' groups, while it gains."""
    least = _ROUNDING * energy.sum()
    kept = -np.inf
    while True:
        filters = _balanced(energy.T @ _members(inputs, len(sizes)), sizes[:, 1])
        scores = energy @ _members(filters, len(sizes))
        moved = _balanced(scores, sizes[:, 0])
        now = np.take_along_axis(scores, moved[:, None], axis=1).sum()
        if now <= kept + least:
            return inputs, filters
        kept, inputs = now, moved


def _balanced(scores, sizes) -> np.ndarray:
    """Returns the group of each channel for the most score, the sizes respected.

    Args:
        scores: What each channel scores in each group, `[channels, groups]`.
        sizes: Channels of each group.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            "Choosing filter groups needs SciPy: pip install 'keras_roots[rootify]'"
        ) from error
    places = np.repeat(np.arange(len(sizes)), sizes)
    return places[linear_sum_assignment(scores[:, places], maximize=True)[1]]


def _members(labels, groups) -> np.ndarray:
    return np.eye(groups)[labels]


def _spectral(energy, sizes, seed) -> np.ndarray:
    """Returns groups of inputs from the clusters of both sides' singular vectors."""
    left, right = (
        1 / np.sqrt(np.where(total > 0, total, np.inf))
        for total in (energy.sum(axis=1), energy.sum(axis=0))
    )
    inputs, _, filters = np.linalg.svd(
        left[:, None] * energy * right, full_matrices=False
    )
    groups = len(sizes)
    points = np.vstack(
        [left[:, None] * inputs[:, :groups], right[:, None] * filters[:groups].T]
    )
    centroids, labels = kmeans(points, groups, seed, restarts=1)
    # The larger cluster becomes the larger group.
    clusters = np.argsort(np.bincount(labels, minlength=groups), kind="stable")
    of_size = np.empty_like(centroids)
    of_size[np.argsort(sizes.sum(axis=1), kind="stable")] = centroids[clusters]
    distances = ((points[: len(left), None] - of_size) ** 2).sum(axis=2)
    return _balanced(-distances, sizes[:, 0])


class _Side:
    """Inputs or filters: the group that each is in and what it would keep in others.

    Attributes:
        energy: Energy of each channel with those of the other side.
        labels: Group of each channel.
        scores: What each channel would keep in each group.
    """

    def __init__(self, energy, labels, others, groups):
        self.energy = energy
        self.labels = labels.copy()
        self.scores = energy @ _members(others, groups)
        self.order = np.argsort(labels, kind="stable")
        self.bounds = np.searchsorted(labels[self.order], np.arange(groups + 1))
        self.locked_until = np.zeros(len(labels), "int64")

    def best_swap(self, step) -> tuple[float, int, int]:
        """Returns the gain of the best swap, and the two places in `order`."""
        scores, labels = self.scores[self.order], self.labels[self.order]
        gains = scores - np.take_along_axis(scores, labels[:, None], axis=1)
        gains[self.locked_until[self.order] > step] = -np.inf
        # Two channels of one side share no energy: what they gain adds up.
        most = np.maximum.reduceat(gains, self.bounds[:-1])
        both = most + most.T
        np.fill_diagonal(both, -np.inf)
        one, other = divmod(int(both.argmax()), len(both))
        places = [
            self.bounds[a] + gains[self.bounds[a] : self.bounds[a + 1], b].argmax()
            for a, b in ((one, other), (other, one))
        ]
        return both[one, other], *places

    def swap(self, places, others, until):
        """Swaps the channels at two places, and tells the other side."""
        pair = self.order[places]
        self.order[places] = pair[::-1]
        one, other = groups = self.labels[pair]
        self.labels[pair] = groups[::-1]
        self.locked_until[pair] = until
        change = self.energy[pair[0]] - self.energy[pair[1]]
        others.scores[:, one] -= change
        others.scores[:, other] += change


def _swap(energy, labels, groups, rng) -> Sequence[np.ndarray]:
    """Makes the best swap again and again, and returns the best groups on the way.

    Where none gains, as after `_alternate`, the one that loses least leads on; channels
    that have just moved are locked, or it would be undone (tabu search; Glover, ORSA
    Journal on Computing 1, 1989).
    """
    sides = (
        _Side(energy, *labels, groups),
        _Side(energy.T.copy(), *labels[::-1], groups),
    )
    least = _ROUNDING * energy.sum()
    gained = most = 0.0
    best = labels
    step = improved = 0
    channels = sum(energy.shape)
    patience = min(_PATIENCE, 8 * channels)
    # Of few channels not all must be locked; many move in circles with short locks.
    longest = min(max(4, channels // 16), 8)
    while step - improved < patience:
        step += 1
        swaps = [side.best_swap(step) for side in sides]
        which = int(swaps[1][0] > swaps[0][0])
        gain, *places = swaps[which]
        if gain == -np.inf:  # all are locked
            continue
        until = step + rng.integers(2, longest, size=2, endpoint=True)
        sides[which].swap(places, sides[1 - which], until)
        gained += gain
        if gained > most + least:
            most, improved = gained, step
            best = [side.labels.copy() for side in sides]
    return best


def _in_order(labels, sizes) -> list[np.ndarray]:
    """Numbers groups of the same size by their first inputs."""
    first = np.array([np.argmax(labels[0] == group) for group in range(len(sizes))])
    new = np.empty(len(sizes), "int64")
    for size in np.unique(sizes, axis=0):
        same = np.flatnonzero((sizes == size).all(axis=1))
        new[same[np.argsort(first[same])]] = same
    return [new[label] for label in labels]
