"""Whether an exported network computes what the Keras model computes."""

import dataclasses
from collections.abc import Iterable, Sequence

import keras
import numpy as np

# float32 cannot resolve less of an output than this part of its largest value.
_SMALLEST_RANGE = 1e-3
_BATCH = 32


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
        top1_agreement: Part of the images with the same top-1 class, `None` if no
            output is a vector of scores.
    """

    images: int
    difference: float
    relative_difference: float
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
            ("top-1 agreement", "no class scores" if top1 is None else f"{top1:.1%}"),
        ]


@dataclasses.dataclass(frozen=True)
class ExportReport(Agreement):
    """What was written, and how well it agrees with the Keras model.

    Attributes:
        path: The file or folder.
        file_size: Its bytes.
    """

    path: str
    file_size: int

    def lines(self) -> list[tuple[str, str]]:
        """Returns what `print` shows, as names and values."""
        return [
            ("written", self.path),
            ("size", f"{self.file_size:,} bytes"),
            *super().lines(),
        ]


def require_tensorflow() -> None:
    """Checks that this process can export.

    Raises:
        ImportError: TensorFlow is not installed.
        ValueError: Keras runs on another backend.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "Exports are made by TensorFlow, from models that Keras runs on it. "
            "Save the weights (`model.save_weights`), start again with "
            "KERAS_BACKEND=tensorflow in the environment, build the same model and "
            f"load them. Received: the Keras backend {backend!r}"
        )
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Exports need TensorFlow: pip install 'keras_roots[tensorflow]'"
        ) from error


def reference_outputs(model: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """Returns the outputs of the Keras model, one array per output."""
    batches = [
        keras.tree.flatten(model(images[start : start + _BATCH], training=False))
        for start in range(0, len(images), _BATCH)
    ]
    return [
        np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])
        for parts in zip(*batches, strict=True)
    ]


def in_order(names: Iterable[str]) -> list[str]:
    """Returns the names of a signature's outputs in the order of the model's.

    Outputs in a list have the names `output_0`, `output_1` and so on; outputs in a
    dictionary keep its keys, which Keras sorts.
    """
    names = sorted(names)
    if all(name.startswith("output_") and name[7:].isdigit() for name in names):
        names.sort(key=lambda name: int(name[7:]))
    return names


def compare(
    exported: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    *,
    tolerance: float | None = None,
    min_agreement: float | None = None,
) -> Agreement:
    """Compares the outputs of an exported network with the Keras model's.

    Outputs are constant when different images give the very same output.

    Args:
        exported: Outputs of the exported network, one array per output.
        expected: Outputs of the Keras model for the same images.
        tolerance: Largest relative difference allowed, `None` for any.
        min_agreement: Smallest top-1 agreement allowed, `None` for any.

    Raises:
        ExportError: Outputs are NaN or constant, or agree less than allowed.
    """
    for whose, outputs, advice in (
        ("model", expected, "Train it or load its weights first."),
        ("exported network", exported, "The model's own outputs are fine."),
    ):
        if not all(np.isfinite(output).all() for output in outputs):
            raise ExportError(f"The {whose} gives NaN or infinite outputs. {advice}")
        if len(outputs[0]) > 1 and all(map(_constant, outputs)):
            raise ExportError(
                f"The {whose} gives the same output for all {len(outputs[0])} images "
                f"that it was checked on. {advice}"
            )
    shapes = [[output.shape for output in outputs] for outputs in (exported, expected)]
    if shapes[0] != shapes[1]:
        raise ExportError(
            f"The exported network has outputs of shapes {shapes[0]}, the model of "
            f"shapes {shapes[1]}."
        )
    differences = [
        float(np.abs(ours - theirs).max())
        for ours, theirs in zip(exported, expected, strict=True)
    ]
    agreement = Agreement(
        images=len(expected[0]),
        difference=max(differences),
        relative_difference=max(
            difference / _range(theirs)
            for difference, theirs in zip(differences, expected, strict=True)
        ),
        top1_agreement=_top1_agreement(exported, expected),
    )
    if tolerance is not None and agreement.relative_difference > tolerance:
        raise ExportError(
            "The exported network differs from the model by "
            f"{agreement.difference:.3g}, {agreement.relative_difference:.2g} of the "
            f"output's range; at most {tolerance:g} is allowed."
        )
    if min_agreement is not None and agreement.top1_agreement is None:
        raise ExportError("`min_agreement` needs a model whose output is class scores.")
    if min_agreement is not None and agreement.top1_agreement < min_agreement:
        raise ExportError(
            "The exported network and the model name the same top-1 class for "
            f"{agreement.top1_agreement:.1%} of {agreement.images} images; "
            f"`min_agreement` asks for {min_agreement:.1%}."
        )
    return agreement


def _constant(output) -> bool:
    return bool((output == output[:1]).all())


def _range(output) -> float:
    spread = float(np.ptp(output))
    return max(spread, _SMALLEST_RANGE * float(np.abs(output).max()), 1e-30)


def _top1_agreement(exported, expected) -> float | None:
    parts = [
        float((ours.argmax(-1) == theirs.argmax(-1)).mean())
        for ours, theirs in zip(exported, expected, strict=True)
        if theirs.ndim == 2 and theirs.shape[1] > 1
    ]
    return min(parts, default=None)
