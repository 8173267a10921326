"""Whether an exported network computes what the Keras model computes."""

import dataclasses
import warnings
from collections.abc import Sequence

import keras
import numpy as np

from keras_roots.convolutions import Samples
from keras_roots.export import signature
from keras_roots.export.agreement import (
    Agreement,
    ExportError,
    in_pairs,
    is_softmax,
    measure,
    relative_error,
    top1,
)

# Relative squared error of an output that a quantised file may have unless a caller
# says otherwise, and what it is warned of from. An output of zeros has 1. In int8 the
# released networks have at most 0.004; EfficientNetV2B0 with random weights has 0.7.
MAX_ERROR = 0.9
NOTABLE_ERROR = 0.05
ENOUGH_AGREEMENT = 0.9  # in top-1, for which class probabilities may have any error
_STEPS = 255  # of int8 in the range of an output
_BATCH = 32


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


def reference_outputs(
    model: keras.Model, images: np.ndarray | Samples
) -> list[np.ndarray]:
    """Returns the outputs of the Keras model, one array per output, in their order.

    Args:
        model: The model.
        images: Images for its only input, or samples of all its inputs.
    """
    if isinstance(images, Samples):
        parts = ([*batch] for batch in images.batches(_BATCH))
    else:
        starts = range(0, len(images), _BATCH)
        parts = ([images[start : start + _BATCH]] for start in starts)
    batches = [
        keras.tree.flatten(model(signature.packed(model, part), training=False))
        for part in parts
    ]
    return [
        np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])
        for parts in zip(*batches, strict=True)
    ]


def compare(
    exported: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    *,
    tolerance: float | None = None,
    max_error: float | None = None,
    min_agreement: float | None = None,
    quantized: bool = False,
) -> Agreement:
    """Compares the outputs of an exported network with the Keras model's.

    Warns of what is true of the model: where one of them gives the very same output for
    all images, and where quantisation loses much.

    Args:
        exported: Outputs of the exported network, one array per output.
        expected: Outputs of the Keras model for the same images.
        tolerance: Largest relative difference allowed, `None` for any.
        max_error: Largest relative squared error of an output allowed, `None` for any.
        min_agreement: Smallest top-1 agreement allowed, `None` for any.
        quantized: Whether to allow what honest quantisation costs, if neither
            `max_error` nor `min_agreement` is given: a relative squared error of
            `MAX_ERROR`, with a warning above `NOTABLE_ERROR`. Differences of a step of
            int8 in the output's range, or class probabilities with a top-1 agreement of
            `ENOUGH_AGREEMENT`, are allowed and not warned of.

    Raises:
        ExportError: Outputs are NaN, or agree less than allowed.
    """
    agreement = measure(exported, expected)
    pairs = in_pairs(exported, expected)
    if tolerance is not None and agreement.relative_difference > tolerance:
        raise ExportError(
            "The exported network differs from the model by "
            f"{agreement.difference:.3g}, {agreement.relative_difference:.2g} of the "
            f"output's range; at most {tolerance:g} is allowed."
        )
    if max_error is not None and agreement.relative_error > max_error:
        raise ExportError(
            "The exported network differs from the model by a relative squared error "
            f"of {agreement.relative_error:.3g}; `max_error` asks for {max_error:g}."
        )
    if min_agreement is not None and agreement.top1_agreement is None:
        raise ExportError("`min_agreement` needs a model whose output is class scores.")
    if min_agreement is not None and agreement.top1_agreement < min_agreement:
        raise ExportError(
            "The exported network and the model name the same top-1 class for "
            f"{agreement.top1_agreement:.1%} of {agreement.images} images; "
            f"`min_agreement` asks for {min_agreement:.1%}."
        )
    if quantized and max_error is None and min_agreement is None:
        for index, pair in enumerate(pairs):
            _check_quantized(index, *pair)
    _warn_of_constants(pairs)
    return agreement


def _check_quantized(index, ours, theirs):
    """Checks an output by the defaults, or warns of it."""
    error, same = relative_error(ours, theirs), top1(ours, theirs)
    scores = theirs.ndim == 2 and is_softmax(theirs)
    span = 1.0 if scores else max(theirs.max(), 0) - min(theirs.min(), 0)
    if error <= NOTABLE_ERROR or np.abs(ours - theirs).max() <= span / _STEPS:
        return
    if scores and same >= ENOUGH_AGREEMENT:
        return
    agree = "" if same is None else f" and top-1 agreement of {same:.1%}"
    text = (
        f"The exported network's output {index} has a relative squared error of "
        f"{error:.3g}{agree}, compared with the model on {len(theirs)} images. "
        "Calibrate it on images of the kind that the model is made for; if they are, "
        "quantisation loses this much: quantise less"
    )
    if error > MAX_ERROR:
        raise ExportError(
            f"{text}, or allow it by `max_error` or `min_agreement`; by default, at "
            f"most {MAX_ERROR:g} is allowed."
        )
    warnings.warn(f"{text}.", stacklevel=4)


def _warn_of_constants(pairs):
    count = len(pairs[0][0])
    if count < 2:
        return
    if all(_constant(theirs) for _, theirs in pairs):
        whose, found = "model", "so that this comparison tells little"
    elif all(_constant(ours) for ours, _ in pairs):
        spread = max(float(np.ptp(theirs, axis=0).max()) for _, theirs in pairs)
        whose = "exported network"
        found = f"where the model's outputs differ by {spread:.2g}"
    else:
        return
    warnings.warn(
        f"The {whose} gives the same output for all {count} images that it was checked "
        f"on, {found}: is the model trained?",
        stacklevel=4,
    )


def _constant(output) -> bool:
    return bool((output == output[:1]).all())
