"""How near the outputs of a changed network, or of its file, are to the original's."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_roots.export import LiteRTModel, is_softmax


class OutputFidelity(NamedTuple):
    """How near one output is to that of the original.

    Attributes:
        name: Name of the output.
        error: Its squared error, relative to the sum of squares of the original's.
        agreement: Top-1 agreement, the part of the samples (of a map, of its places)
            for which the largest score is of the same class; `None` if the output is
            no softmax over classes.
    """

    name: str
    error: float
    agreement: float | None


class Fidelity(NamedTuple):
    """How near outputs are to those of the original.

    Attributes:
        outputs: How near each output is, in their order.
    """

    outputs: tuple[OutputFidelity, ...]

    @property
    def error(self) -> float:
        """Mean of the relative squared errors of the outputs."""
        return float(np.mean([output.error for output in self.outputs]))

    @property
    def agreement(self) -> float | None:
        """Mean top-1 agreement of the outputs that are a softmax; `None` without."""
        found = [each.agreement for each in self.outputs if each.agreement is not None]
        return float(np.mean(found)) if found else None

    def __str__(self) -> str:
        text = f"outputs are off by {self.error:.2%}"
        if self.agreement is not None:
            text += f", the class is the same for {self.agreement:.2%}"
        return text


def output_names(model: keras.Model) -> list[str]:
    """Returns different names for a model's outputs, in their order.

    Args:
        model: A functional model, or a Sequential one that is built.
    """
    names = getattr(model, "output_names", ["output"])  # a Sequential has none
    if len(names) == len(model.outputs) == len(set(names)):
        return list(names)
    return [f"output {index}" for index in range(len(model.outputs))]


def file_outputs(tflite: bytes, inputs, threads: int = 1) -> list[np.ndarray]:
    """Returns the outputs of a LiteRT file, in the order of its model's outputs.

    Args:
        tflite: Content of the file.
        inputs: The array of the only input, or those of several by their names in the
            file, which `export.by_name` gives.
        threads: Number of threads.

    Raises:
        ImportError: LiteRT is not installed.
    """
    return LiteRTModel(tflite, threads).predict(inputs)


def fidelity(
    expected: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    names: Sequence[str] | None = None,
) -> Fidelity:
    """Compares outputs with those of the original.

    Args:
        expected: Outputs of the original, `(n, ...)` each.
        found: Outputs to compare, in the same order.
        names: Their names; by default numbers.

    Example:
        >>> fidelity([np.eye(2)], [np.array([[1, 0], [0.6, 0.4]])]).agreement
        0.5
    """
    if names is None:
        names = [f"output {index}" for index in range(len(expected))]
    pairs = zip(names, expected, found, strict=True)
    return Fidelity(tuple(_compared(*pair) for pair in pairs))


def _compared(name, expected, found) -> OutputFidelity:
    one, other = np.asarray(expected, "float64"), np.asarray(found, "float64")
    error = np.square(one - other).sum()
    error /= max(np.square(one).sum(), np.finfo("float64").tiny)
    agreement = None
    if is_softmax(one):
        agreement = float((one.argmax(axis=-1) == other.argmax(axis=-1)).mean())
    return OutputFidelity(name, float(error), agreement)
