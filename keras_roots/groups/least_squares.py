"""Least-squares fits of kernels with groups to the responses of those without.

Each layer is fitted as if it were the only one that gets groups.
"""

import dataclasses
import functools
import math
from collections.abc import Collection

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.groups import assignment
from keras_roots.utils import progress

_POSITIONS = 20  # of an image: neighbours are alike
_RIDGE = 1e-4  # of the mean variance of the inputs


@dataclasses.dataclass(frozen=True)
class InputStatistics:
    """Mean and covariance of the patches that a convolution is applied to.

    Attributes:
        kernel: Its kernel, float64 `(height, width, channels, filters)`.
        mean: Mean of the patches, `[height * width * channels]`.
        covariance: Their covariance.
    """

    kernel: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    def fit(self, grouping: assignment.Grouping, groups: int) -> np.ndarray:
        """Fits each filter, by least squares, on the inputs of its own group.

        Args:
            grouping: Which channels make groups.
            groups: How many.

        Returns:
            A kernel of the same shape, with zeros between the groups.
        """
        inputs = np.arange(len(self._products)).reshape(-1, self.kernel.shape[2])
        fitted = np.zeros_like(self._products)
        for own, filters in zip(
            np.split(grouping.inputs, groups),
            np.split(grouping.filters, groups),
            strict=True,
        ):
            seen = inputs[:, own].ravel()
            squares = self.covariance[np.ix_(seen, seen)]
            products = self._products[np.ix_(seen, filters)]
            fitted[np.ix_(seen, filters)] = _solve(squares, products)
        return fitted.reshape(self.kernel.shape)

    def mix(self, kernel: np.ndarray) -> np.ndarray:
        """Fits a 1x1 behind a kernel, by least squares, and makes one kernel of both.

        Args:
            kernel: A kernel of the same shape.
        """
        fitted = _flat(kernel)
        squares = fitted.T @ self.covariance @ fitted
        mixing = _solve(squares, fitted.T @ self._products)
        return (fitted @ mixing).reshape(kernel.shape)

    def lost(self, kernel: np.ndarray) -> float:
        """Returns the part of the responses' variance that a kernel misses, 0 to 1.

        Args:
            kernel: A kernel of the same shape.
        """
        total = (_flat(self.kernel) * self._products).sum()
        if total <= 0:
            return 0.0
        missed = _flat(self.kernel - kernel)
        left = (missed * (self.covariance @ missed)).sum()
        return float(np.clip(left / total, 0, 1))

    def shift(self, kernel: np.ndarray) -> np.ndarray:
        """Returns the mean of the responses that a kernel misses, filter by filter.

        Args:
            kernel: A kernel of the same shape.
        """
        return self.mean @ _flat(self.kernel - kernel)

    @functools.cached_property
    def _products(self) -> np.ndarray:
        return self.covariance @ _flat(self.kernel)


def input_statistics(
    model: keras.Model,
    names: Collection[str],
    images: np.ndarray,
    seed: int = 0,
    batch_size: int = 50,
) -> dict[str, InputStatistics]:
    """Returns the statistics of the inputs of convolutions for sample images.

    Args:
        model: A functional or Sequential model with one input.
        names: Names of convolutions without groups.
        images: Sample images `(n, height, width, channels)`, as the model takes them.
        seed: Seed of the choice of positions.
        batch_size: Images per run.

    Raises:
        ValueError: Inputs are not finite.
    """
    images = convolutions.Samples.of(model, images)
    rng = np.random.default_rng(seed)
    moments = {name: convolutions.Moments() for name in names}
    # By layer: one that is shared has other names in its other calls.
    layers = {id(op): name for name, op in graph.operations(model) if name in moments}
    kernels = {}

    def call(name, operation, args, kwargs):
        name = layers.get(id(operation))
        if name is not None:
            chosen = convolutions.choose_positions(operation, args[0], _POSITIONS, rng)
            patches = convolutions.patches_at(operation, args[0], chosen)
            patches = patches.reshape(math.prod(patches.shape[:2]), 1, -1)
            convolutions.check_finite(name, patches)
            moments[name].add(patches)
            kernels[name] = convolutions.read_kernels(name, operation)
        return convolutions.infer(operation, args, kwargs)

    count = images.batch_count(batch_size)
    for batch in progress(images.batches(batch_size), "batch", count):
        graph.walk(model, batch, call)
    seen = {name: (each.count, each.mean.shape[1]) for name, each in moments.items()}
    convolutions.warn_if_few(seen, len(images))
    found = {}
    for name in names:
        each = moments.pop(name)  # which takes as much memory as what is made of it
        found[name] = InputStatistics(kernels[name], each.mean[0], each.covariance[0])
    return found


def _flat(kernel) -> np.ndarray:
    return kernel.reshape(-1, kernel.shape[-1])


def _solve(squares, products) -> np.ndarray:
    ridge = _RIDGE * np.trace(squares) / len(squares) + np.finfo("float64").tiny
    return np.linalg.solve(squares + ridge * np.eye(len(squares)), products)
