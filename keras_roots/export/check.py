"""Whether an exported network computes what the Keras model computes."""

import dataclasses
import math
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
    relative_difference,
    relative_error,
    top1,
)
from keras_roots.utils import checks

# Relative squared error of an output that a quantised file may have unless a caller
# says otherwise, and what it is warned of from. An output of zeros has 1. In int8 the
# released networks have at most 0.004; EfficientNetV2B0 with random weights has 0.7.
MAX_ERROR = 0.9
NOTABLE_ERROR = 0.05
ENOUGH_AGREEMENT = 0.9  # in top-1, for which class probabilities may have any error
_STEPS = 255  # of int8 in the range of an output
# Parts of its range that an output varies by over the images: a model's that varies by
# less is constant in float32, and a file's may be constant where the model's varies by
# no more than that, as those of untrained networks do in int8.
_CONSTANT = 1e-5
_MAY_BE_CONSTANT = 0.05
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


def check_limits(
    tolerance: float | None = None,
    max_error: float | None = None,
    min_agreement: float | None = None,
) -> None:
    """Checks the limits that a caller of an export gives.

    Args:
        tolerance: As for `compare`, like the others.
        max_error: Largest relative squared error.
        min_agreement: Smallest top-1 agreement.

    Raises:
        ValueError: One is no number, or out of bounds.
    """
    if tolerance is not None:
        checks.number("tolerance", tolerance, least=0)
    if max_error is not None:
        checks.number("max_error", max_error, least=0)
    if min_agreement is not None:
        checks.part("min_agreement", min_agreement, zero=True, one=True)


def compare(
    exported: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    *,
    tolerance: float | None = None,
    max_error: float | None = None,
    min_agreement: float | None = None,
    default: float | None = None,
    quantized: bool = False,
) -> Agreement:
    """Compares the outputs of an exported network with the Keras model's.

    Warns of what is true of the model: where it gives the very same output for all
    images, and where quantisation loses much.

    Args:
        exported: Outputs of the exported network, one array per output.
        expected: Outputs of the Keras model for the same images.
        tolerance: Largest relative difference allowed, `None` for the default.
        max_error: Largest relative squared error of an output allowed, `None` for any.
        min_agreement: Smallest top-1 agreement allowed, `None` for any.
        default: The tolerance unless one is given, `None` for any. An output that the
            model gives the same of for all images has no range of its own to be
            compared with, and is compared with its largest value.
        quantized: Whether to allow what honest quantisation costs, if none of the three
            limits is given: a relative squared error of `MAX_ERROR`, with a warning
            above `NOTABLE_ERROR`. Differences of a step of int8 in the output's range,
            or class probabilities with a top-1 agreement of `ENOUGH_AGREEMENT`, are
            allowed and not warned of. Of an output that the model gives the same of for
            all images, any error is allowed, with a warning.

    Raises:
        ExportError: Outputs are NaN, have other shapes, are the same for all images
            where the model's are not, or agree less than allowed.
    """
    check_limits(tolerance, max_error, min_agreement)
    if default is not None:
        checks.number("default", default, least=0)
    checks.boolean("quantized", quantized)
    exported = checks.collection("exported", exported, "a list of arrays")
    expected = checks.collection("expected", expected, "a list of arrays")
    agreement = measure(exported, expected)
    pairs = in_pairs(exported, expected)
    for index, pair in enumerate(pairs):
        _check_varied(index, *pair)
    limit = default if tolerance is None else tolerance
    differences = [agreement.relative_difference]
    if tolerance is None:
        differences = [_lenient_difference(*pair) for pair in pairs]
    if limit is not None and max(differences) > limit:
        asked = "by default" if tolerance is None else "by `tolerance`"
        raise ExportError(
            "The exported network differs from the model by "
            f"{agreement.difference:.3g}, {agreement.relative_difference:.2g} of the "
            f"output's range; at most {limit:g} is allowed {asked}. If the file may "
            f"differ by that much, tolerance={_above(agreement.relative_difference):g} "
            "allows it."
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
    if quantized and (tolerance, max_error, min_agreement) == (None,) * 3:
        for index, pair in enumerate(pairs):
            _check_quantized(index, *pair)
    _warn_of_constants(pairs)
    return agreement


def _check_varied(index, ours, theirs):
    """Checks that an output depends on the image where the model's does."""
    varied = _variation(theirs)
    if len(ours) > 1 and varied > _MAY_BE_CONSTANT and _is_constant(ours):
        raise ExportError(
            f"The exported network gives the same output {index} for all {len(ours)} "
            f"images that it was checked on, where the model's differs by {varied:.2g} "
            "of its range: the file is of no use. Quantise it less, or "
            "calibrate it on images of the kind that the model is made for."
        )


def _lenient_difference(ours, theirs) -> float:
    """The relative difference; of a constant, that to the size of its values."""
    if len(theirs) > 1 and _variation(theirs) <= _CONSTANT:
        return relative_difference(ours, theirs, of_largest=True)
    return relative_difference(ours, theirs)


def _variation(output) -> float:
    """How much an output differs over images, as a part of its range and zero.

    That of probabilities is 1, however small they are: int8 has 256 of them.
    """
    low, high = min(float(output.min()), 0.0), max(float(output.max()), 0.0)
    span = max(high - low, 1.0 if low >= 0 and high <= 1 else 1e-30)
    return float(np.ptp(output, axis=0).max()) / span


def _above(value) -> float:
    """The next number of two digits that is greater."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return (math.floor(value / unit) + 1) * unit


def _check_quantized(index, ours, theirs):
    """Checks an output by the defaults, or warns of it."""
    error, same = relative_error(ours, theirs), top1(ours, theirs)
    scores = theirs.ndim == 2 and is_softmax(theirs)
    span = 1.0 if scores else max(theirs.max(), 0) - min(theirs.min(), 0)
    difference = np.abs(ours - theirs).max()
    if error <= NOTABLE_ERROR or difference <= span / _STEPS:
        return
    if scores and same >= ENOUGH_AGREEMENT:
        return
    agree = "" if same is None else f" and top-1 agreement of {same:.1%}"
    text = (
        f"The exported network's output {index} has a relative squared error of "
        f"{error:.3g}{agree}, compared with the model on {len(theirs)} images. "
    )
    if len(theirs) > 1 and np.ptp(theirs, axis=0).max() <= span / _STEPS:
        warnings.warn(
            f"{text}The model gives the same output for all of them, or differs by "
            "less than int8 resolves, so that this comparison tells little: is the "
            "model trained?",
            stacklevel=4,
        )
        return
    text += (
        "Calibrate it on images of the kind that the model is made for; if they are, "
        "quantisation loses this much: quantise less"
    )
    if error > MAX_ERROR:
        tolerance = _above(relative_difference(ours, theirs))
        raise ExportError(
            f"{text}, or allow it by `max_error`, `min_agreement` or `tolerance` "
            f"(max_error={_above(error):g} or tolerance={tolerance:g} would do); by "
            f"default, at most {MAX_ERROR:g} is allowed."
        )
    warnings.warn(f"{text}.", stacklevel=4)


def _warn_of_constants(pairs):
    count = len(pairs[0][0])
    if count < 2:
        return
    if all(_is_constant(theirs) for _, theirs in pairs):
        whose, found = "model", "so that this comparison tells little"
    elif all(_is_constant(ours) for ours, _ in pairs):
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


def _is_constant(output) -> bool:
    return bool((output == output[:1]).all())
