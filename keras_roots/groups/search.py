"""The search for groups of inputs and filters that keep most of the energy."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from keras_roots.utils import kmeans

# The search ends after so many swaps without a better grouping, of few channels sooner.
_PATIENCE = 400

_ROUNDING = 1e-12  # part of all energy below which a gain is none


def kept_energy(energy: np.ndarray, labels: Sequence[np.ndarray]) -> float:
    """Returns the part of the energy that groups keep, 0 to 1.

    Args:
        energy: Energy between inputs and filters, `[c_in, n]`.
        labels: Group of each input and of each filter.
    """
    total = energy.sum()
    # Zeros are added up too, in the same order: 1 exactly where nothing is lost.
    inside = np.where(labels[0][:, None] == labels[1], energy, 0.0).sum()
    return float(inside / total) if total > 0 else 1.0


def choose(
    energy: np.ndarray,
    sizes: np.ndarray,
    labels: Sequence[np.ndarray | None],
    seed: int,
    restarts: int,
) -> Sequence[np.ndarray]:
    """Chooses the groups of inputs and filters; `group_channels` says how.

    Args:
        energy: Energy between inputs and filters, `[c_in, n]`.
        sizes: Number of inputs and filters of every group, `[groups, 2]`.
        labels: Group of each input and of each filter, `None` for a side to choose.
        seed: Seed of the random starts and of the search.
        restarts: Number of random starts.

    Returns:
        The group of each input and of each filter.
    """
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
    return max(found, key=lambda labels: kept_energy(energy, labels))


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
    centroids, labels = kmeans(points, groups, seed=seed)
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

    Where none gains, as after `_alternate`, the one that loses least is made; channels
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
