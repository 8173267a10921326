"""How well the outputs of an exported network agree with those of the Keras model."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

# float32 cannot resolve less of an output than this part of its largest value.
_SMALLEST_RANGE = 1e-3
_CERTAIN = 1e-3  # how far sums of probabilities may be from one


class ExportError(ValueError):
    """The exported network does not compute what the Keras model computes."""


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How well an exported network agrees with the Keras model.

    Attributes:
        images: Number of images compared.
        difference: Largest absolute difference of any output.
        relative_difference: The largest of each output's difference over its range,
            the range being that of the Keras model's output over all images.
        relative_error: The largest of each output's sum of squared differences over
            the sum of squares of the Keras model's output.
        top1_agreement: Part of the images with the same top-1 class, `None` if no
            output is a vector of scores.
    """

    images: int
    difference: float
    relative_difference: float
    relative_error: float
    top1_agreement: float | None

    def __str__(self) -> str:
        return "\n".join(f"{key:<26}{value}" for key, value in self.lines())

    def lines(self) -> list[tuple[str, str]]:
        """Returns what `print` shows, as names and values."""
        top1 = self.top1_agreement
        return [
            ("compared on", f"{self.images} images"),
            (
                "largest difference",
                f"{self.difference:.3g} "
                f"({self.relative_difference:.2g} of the output's range)",
            ),
            ("relative squared error", f"{self.relative_error:.2g}"),
            ("top-1 agreement", "no class scores" if top1 is None else f"{top1:.1%}"),
        ]


def measure(
    exported: Sequence[np.ndarray], expected: Sequence[np.ndarray]
) -> Agreement:
    """Measures how well outputs agree; allows anything but NaN and other shapes.

    Args:
        exported: Outputs of the exported network, one array per output.
        expected: Outputs of the Keras model for the same images.

    Raises:
        ExportError: Outputs are NaN, or have other shapes.
    """
    for whose, outputs, advice in (
        ("model", expected, "Train it or load its weights first."),
        ("exported network", exported, "The model's own outputs are fine."),
    ):
        if not all(np.isfinite(output).all() for output in outputs):
            raise ExportError(f"The {whose} gives NaN or infinite outputs. {advice}")
    shapes = [[output.shape for output in outputs] for outputs in (exported, expected)]
    if shapes[0] != shapes[1]:
        raise ExportError(
            f"The exported network has outputs of shapes {shapes[0]}, the model of "
            f"shapes {shapes[1]}."
        )
    pairs = in_pairs(exported, expected)
    differences = [float(np.abs(ours - theirs).max()) for ours, theirs in pairs]
    return Agreement(
        images=len(expected[0]),
        difference=max(differences),
        relative_difference=max(itertools.starmap(relative_difference, pairs)),
        relative_error=max(relative_error(*pair) for pair in pairs),
        top1_agreement=min(
            (part for part in itertools.starmap(top1, pairs) if part is not None),
            default=None,
        ),
    )


def in_pairs(
    exported: Sequence[np.ndarray], expected: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns each output of both in float64."""
    return [
        (np.asarray(ours, "float64"), np.asarray(theirs, "float64"))
        for ours, theirs in zip(exported, expected, strict=True)
    ]


def relative_difference(
    ours: np.ndarray, theirs: np.ndarray, *, of_largest: bool = False
) -> float:
    """Returns the largest difference over the range of `theirs`.

    Args:
        ours: The output of the exported network.
        theirs: The Keras model's.
        of_largest: Whether to relate it to the largest value of `theirs` instead.
    """
    largest = float(np.abs(theirs).max())
    whole = max(float(np.ptp(theirs)), _SMALLEST_RANGE * largest)
    difference = float(np.abs(ours - theirs).max())
    return difference / max(largest if of_largest else whole, 1e-30)


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Returns the sum of squared differences over the sum of squares of `theirs`."""
    squares = float(np.square(theirs).sum())
    return float(np.square(ours - theirs).sum()) / max(squares, 1e-30)


def top1(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """Returns the part of images with one top-1 class, `None` if rows are no scores."""
    if theirs.ndim != 2 or theirs.shape[1] < 2:
        return None
    return float((ours.argmax(-1) == theirs.argmax(-1)).mean())


def is_softmax(values: np.ndarray) -> bool:
    """Tells whether an output is probabilities of classes, along its last axis.

    Args:
        values: The output for some samples, `(n, ...)`.
    """
    several = values.ndim > 1 and values.shape[-1] > 1 and (values >= 0).all()
    return several and np.allclose(values.sum(axis=-1), 1, atol=_CERTAIN)
