"""Comparing two classifiers on the same images: difference, interval and test."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from keras_roots.utils import checks


@dataclasses.dataclass(frozen=True)
class PairedComparison:
    """Accuracies of two classifiers on the same images.

    Attributes:
        difference: Accuracy of the second minus that of the first, -1 to 1.
        low: Lower end of the confidence interval of the difference.
        high: Its upper end.
        p_value: Probability of discordant images at least as uneven as these if the
            classifiers were equally accurate.
        first_only: Number of images that only the first got right.
        second_only: Number of images that only the second got right.
        images: Number of images.
    """

    difference: float
    low: float
    high: float
    p_value: float
    first_only: int
    second_only: int
    images: int


def compare_paired(
    first: Sequence[bool] | np.ndarray,
    second: Sequence[bool] | np.ndarray,
    confidence: float = 0.95,
) -> PairedComparison:
    """Compares the accuracies of two classifiers on the same images.

    Images that both or neither got right say nothing of the difference, so the paired
    interval is narrower than that of two accuracies measured apart. The interval is
    Agresti and Min's adjusted Wald interval (Simple improved confidence intervals for
    comparing matched proportions, Statistics in Medicine 24, 2005), the test
    McNemar's exact one.

    Args:
        first: Whether the first classifier got each image right: booleans or 0 and 1,
            `(images,)`.
        second: The same of the second, in the same order.
        confidence: How often, over many test sets, such an interval should hold the
            true difference, between 0 and 1.

    Raises:
        ValueError: The arrays are empty, differ in length or hold anything else, or
            `confidence` is not between 0 and 1.

    Example:
        >>> dense, root = (p.argmax(axis=-1) == labels for p in predictions)
        >>> compare_paired(dense, root).low > -0.005  # at most half a point worse
    """
    first, second = _right("first", first), _right("second", second)
    if len(first) != len(second):
        raise ValueError(
            "`first` and `second` must be of the same images, and so of the same "
            f"length. Received: first of length {len(first)}, second of length "
            f"{len(second)}"
        )
    confidence = checks.part("confidence", confidence)
    images = len(first)
    first_only = int(np.sum(first & ~second))
    second_only = int(np.sum(second & ~first))
    discordant = first_only + second_only
    low, high = _interval(first_only, second_only, images, confidence)
    return PairedComparison(
        difference=(second_only - first_only) / images,
        low=low,
        high=high,
        p_value=(
            float(stats.binomtest(first_only, discordant).pvalue) if discordant else 1.0
        ),
        first_only=first_only,
        second_only=second_only,
        images=images,
    )


def _right(name, values) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"`{name}` must hold one value per image, and at least one. "
            f"Received: {name} of shape {values.shape}"
        )
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"`{name}` must say whether each image was classified right: booleans, or "
            f"0 and 1. Received: {name} of dtype {values.dtype}, starting with "
            f"{values[:5].tolist()}"
        )
    return values.astype(bool)


def _interval(first_only, second_only, images, confidence) -> tuple[float, float]:
    total = images + 2  # half an image more in each cell of the two by two table
    difference = (second_only - first_only) / total
    variance = (first_only + second_only + 1) / total - difference**2
    reach = stats.norm.ppf((1 + confidence) / 2) * math.sqrt(variance / total)
    return max(-1.0, float(difference - reach)), min(1.0, float(difference + reach))
