"""What convolutions lose with filter groups: of their weights, or of what they answer.

Layer by layer, as if it were the only one that gets groups.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_roots import graph
from keras_roots.lowrank import samples
from keras_roots.rooting import assignment, carrying, patches, spaces

_RESTARTS = 1  # of the search: many numbers of groups are tried
_POSITIONS = 20  # of an image: neighbours see much alike
_RIDGE = 1e-4  # of the mean square of the inputs, as for the fit itself


def lost_energy(
    model: keras.Model, counts: Mapping[str, Sequence[int]], seed: int = 0
) -> dict[str, np.ndarray]:
    """Returns the part of kernels' energy that groups lose.

    Args:
        model: A functional or Sequential model.
        counts: Numbers of groups to try, by name of convolutions without any.
        seed: Seed of the search for channels that belong together.

    Returns:
        By name, the lost part for each number of groups.

    Raises:
        ValueError: Weights are not finite.
        ImportError: SciPy is not installed.
    """
    return {
        name: np.array([1 - grouping.kept for grouping in groupings])
        for name, groupings in _groupings(model, counts, seed).items()
    }


def lost_responses(
    model: keras.Model,
    counts: Mapping[str, Sequence[int]],
    images: np.ndarray,
    seed: int = 0,
    batch_size: int = 50,
) -> dict[str, np.ndarray]:
    """Returns the part of the variance of responses that groups lose.

    That is what is left after each filter was fitted by least squares to what it would
    have answered, with a constant, on the inputs of its own group
    (`carry_over="responses"`).

    Args:
        model: A functional or Sequential model with one input.
        counts: As for `lost_energy`.
        images: Sample images `(n, height, width, channels)`, as the model takes them.
        seed: Seed of the search for channels and of the choice of positions.
        batch_size: Images per run.

    Returns:
        By name, the lost part for each number of groups, 0 to 1.

    Raises:
        ValueError: Weights are not finite, or images do not fit the model.
        ImportError: SciPy is not installed.
    """
    images = samples.check_images(model, images)
    moments = _moments(model, counts, images, seed, batch_size)
    groupings = _groupings(model, counts, seed)
    return {
        name: np.array(
            [
                _lost(*moments[name], *pair)
                for pair in zip(groupings[name], counts[name], strict=True)
            ]
        )
        for name in counts
    }


def _groupings(model, counts, seed) -> dict[str, list[assignment.Grouping]]:
    """Which channels make groups, for each number of them."""
    found = spaces.channel_spaces(model)
    groupings = {}
    for name, layer in graph.operations(model):
        if name not in counts:
            continue
        energy = carrying.energy_of(name, layer)
        inputs, filters = (
            None if len(side) == 1 and not found.pinned(side[0]) else np.arange(size)
            for side, size in zip(
                carrying.sides_of(found, layer), energy.shape, strict=True
            )
        )
        groupings[name] = [
            assignment.group_channels(
                energy,
                count,
                inputs=inputs,
                filters=filters,
                seed=seed,
                restarts=_RESTARTS,
            )
            for count in counts[name]
        ]
    return groupings


def _moments(model, names, images, seed, batch_size) -> dict[str, tuple]:
    """Kernels, and covariances of what they meet, `[height, width, channels] * 2`."""
    rng = np.random.default_rng(seed)
    sums = {name: [0, 0.0, 0.0] for name in names}
    kernels = {}

    def call(name, operation, args, kwargs):
        if name in sums:
            chosen = patches.choose_positions(operation, args[0], _POSITIONS, rng)
            seen = patches.patches_at(operation, args[0], chosen)
            seen = seen.reshape(-1, *seen.shape[2:])
            rows = seen.reshape(len(seen), -1)
            patches.check_finite(name, rows)
            each = sums[name]
            each[0] += len(rows)
            each[1] = each[1] + rows.sum(axis=0, dtype="float64")
            each[2] = each[2] + rows.T @ rows
            kernels[name] = operation.get_weights()[0]
        return samples.infer(operation, args, kwargs)

    for batch in samples.batches(model, images, batch_size):
        graph.walk(model, batch, call)
    found = {}
    for name, (count, total, squares) in sums.items():
        mean = total / count
        covariance = squares / count - np.outer(mean, mean)
        found[name] = kernels[name].astype("float64"), covariance
    return found


def _lost(kernel, covariance, grouping, groups) -> float:
    """The part of the responses' variance that the best fit within groups misses."""
    height, width, channels, filters = kernel.shape
    weights = kernel.reshape(-1, filters)
    products = covariance @ weights
    total = (weights * products).sum()
    if total <= 0:
        return 0.0
    inputs = np.arange(height * width * channels).reshape(-1, channels)
    kept = 0.0
    for own, answers in zip(
        np.split(grouping.inputs, groups),
        np.split(grouping.filters, groups),
        strict=True,
    ):
        seen = inputs[:, own].ravel()
        squares = covariance[np.ix_(seen, seen)]
        ridge = _RIDGE * np.trace(squares) / len(seen) + np.finfo("float64").tiny
        wanted = products[np.ix_(seen, answers)]
        fitted = np.linalg.solve(squares + ridge * np.eye(len(seen)), wanted)
        kept += (2 * wanted * fitted - fitted * (squares @ fitted)).sum()
    return float(np.clip(1 - kept / total, 0, 1))
