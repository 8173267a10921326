"""How near the outputs of a changed network, or of its file, are to the original's."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_roots.convolutions import Samples
from keras_roots.export import LiteRTModel

_BATCH = 50  # images per run of a Keras model


class Fidelity(NamedTuple):
    """How near outputs are to those of the original.

    Attributes:
        agreement: Part of the images for which the largest score is of the same class;
            `None` where the network does not return one batch of scores,
            `(n, classes)`.
        error: Squared error of the outputs, relative to the sum of squares of the
            original's; the mean over outputs where there are several.
    """

    agreement: float | None
    error: float

    @property
    def rank(self) -> float:
        """The greater, the nearer: the agreement, or without one the negated error."""
        return -self.error if self.agreement is None else self.agreement

    def __str__(self) -> str:
        if self.agreement is None:
            return f"outputs are off by {self.error:.2%}"
        return f"agrees on {self.agreement:.2%}"


def keras_outputs(model: keras.Model, images) -> list[np.ndarray]:
    """Returns the outputs of a Keras model for images, in the order of its outputs.

    Args:
        model: The model.
        images: Images `(n, height, width, channels)`, as it takes them.
    """
    return Samples.of(model, images).outputs(model, _BATCH)


def file_outputs(
    tflite: bytes, images: np.ndarray, threads: int = 1
) -> list[np.ndarray]:
    """Returns the outputs of a LiteRT file for images.

    Args:
        tflite: Content of the file.
        images: Images `(n, height, width, channels)`, as the Keras model takes them.
        threads: Number of threads.

    Raises:
        ImportError: LiteRT is not installed.
    """
    return LiteRTModel(tflite, threads).predict(images)


def fidelity(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> Fidelity:
    """Compares outputs with those of the original.

    Args:
        expected: Outputs of the original, `(n, ...)` each.
        found: Outputs to compare, in the same order.

    Example:
        >>> fidelity([np.eye(2)], [np.array([[1, 0], [0.6, 0.4]])]).agreement
        0.5
    """
    errors = [
        np.square(one - other).sum() / max(np.square(one).sum(), np.finfo("d").tiny)
        for one, other in (
            (np.asarray(a, "float64"), np.asarray(b, "float64"))
            for a, b in zip(expected, found, strict=True)
        )
    ]
    agreement = None
    if len(expected) == 1 and expected[0].ndim == 2 and expected[0].shape[1] > 1:
        same = expected[0].argmax(axis=1) == found[0].argmax(axis=1)
        agreement = float(same.mean())
    return Fidelity(agreement, float(np.mean(errors)))
