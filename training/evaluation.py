"""Accuracy of anything that maps images to class scores."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Score:
    """Accuracy on a set of images.

    Attributes:
        top1: Part of the images whose highest score is their label's, 0 to 1.
        top5: Part of the images whose label is among the five highest.
        images: Number of images.
    """

    top1: float
    top5: float
    images: int


def evaluate(predict: Callable, batches: Iterable[tuple]) -> Score:
    """Returns the accuracy of a predictor.

    Args:
        predict: Function of float32 images `(batch, height, width, 3)`, pixels 0 to
            255, to scores `(batch, classes)`.
        batches: Pairs of images and integer labels `(batch,)`.

    Raises:
        ValueError: There are no images.
    """
    top1 = top5 = images = 0
    for batch, labels in batches:
        scores = np.asarray(predict(batch), "float32")
        own = scores[np.arange(len(labels)), labels]
        # Ties count against the label, so that constant scores are no success.
        rank = (scores >= own[:, None]).sum(axis=1)
        top1 += int((rank <= 1).sum())
        top5 += int((rank <= 5).sum())
        images += len(labels)
    if not images:
        raise ValueError("`batches` must hold images. Received none")
    return Score(top1 / images, top5 / images, images)
