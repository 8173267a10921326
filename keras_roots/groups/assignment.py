"""Which inputs and which filters of a dense convolution become a filter group."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_roots.groups import search
from keras_roots.utils import checks


class Grouping(NamedTuple):
    """Inputs and filters of a dense convolution in the order of their groups.

    Attributes:
        inputs: Permutation of the inputs, `[c_in]`: new input `i` is the old input
            `inputs[i]`. Each group takes a contiguous run.
        filters: The same for the filters, `[n]`.
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
    Co-Clustering, KDD 2003, alternates so, without the sizes). Swaps of two inputs or
    two filters follow, also of those that lose (Kernighan and Lin, Bell System
    Technical Journal 49, 1970). Starts are plain slices, the clusters of
    inputs and filters on the leading singular vectors (Dhillon, Co-clustering
    Documents and Words, KDD 2001), and random groups. The best one of all is a local
    optimum: the problem is NP-hard.

    Args:
        energy: Energy between inputs and filters, `[c_in, n]`, as `energy_matrix`
            returns it; not negative.
        groups: Number of groups, of equal size.
        sizes: Instead of `groups`, the number of inputs and of filters of each group.
        inputs: Fixed permutation of the inputs, so that only filters are chosen, for
            which the result is optimal. `range(c_in)` for the order that
            they have.
        filters: The same for the filters.
        seed: Seed of the random starts and of the search.
        restarts: Number of random starts; more never keep less.

    Returns:
        The groups. Where neither side is fixed, groups of the same size are in the
        order of their first inputs; channels within a group keep their order.

    Raises:
        ValueError: An argument is impossible.

    Example:
        >>> group_channels(np.array([[0, 5, 1, 4], [3, 0, 2, 1]]), 2)
        Grouping(inputs=array([0, 1]), filters=array([1, 3, 0, 2]), kept=0.875)
    """
    energy = _checked(energy)
    sizes = _sizes(energy, groups, sizes)
    restarts = checks.integer("restarts", restarts, least=0)
    orders = [
        _permutation("inputs", inputs, energy.shape[0]),
        _permutation("filters", filters, energy.shape[1]),
    ]
    labels = [
        None if order is None else _labels(order, sizes[:, side])
        for side, order in enumerate(orders)
    ]
    labels = search.choose(energy, sizes, labels, seed, restarts)
    for side, order in enumerate(orders):
        if order is None:
            orders[side] = np.argsort(labels[side], kind="stable")
    return Grouping(*orders, search.kept_energy(energy, labels))


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
    return Grouping(*orders, search.kept_energy(energy, labels))


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
        if not checks.is_integer(groups) or groups not in works:
            raise ValueError(
                f"`groups` must divide the {channels} inputs and {filters} filters. "
                f"Received: groups={groups!r}; groups that work: {works}"
            )
        return np.tile([channels // groups, filters // groups], (groups, 1))
    array = np.array(sizes, "object")  # pairs of unequal length too
    pairs = array.ndim == 2 and array.shape[1] == 2
    counts = all(checks.is_integer(size) and size > 0 for size in array.flat)
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
