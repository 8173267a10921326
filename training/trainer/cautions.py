"""What is said of a training that will probably not give much, or has not."""

import warnings

import numpy as np

from keras_roots.training import data
from keras_roots.training.trainer.recipes import Recipe

_FEW_IMAGES = 20  # of a class
_FEW_STEPS = 10  # of an epoch


def warn_of_few(dataset: data.Dataset, recipe: Recipe) -> None:
    """Warns of classes of few images, and of epochs of few steps.

    Args:
        dataset: The data set.
        recipe: The recipe that it will be trained by.
    """
    split = dataset.train
    if split.labels is not None:
        counts = split.class_counts(len(dataset.class_names))
        fewest = int(np.argmin(counts))
        if counts[fewest] < _FEW_IMAGES:
            few = int(np.sum(counts < _FEW_IMAGES))
            warnings.warn(
                f"`dataset` has {few} of {len(counts)} classes with fewer than "
                f"{_FEW_IMAGES} training images, {dataset.class_names[fewest]!r} "
                f"{counts[fewest]}: they will hardly be told apart. Add images, start "
                "from trained `weights`, or vary images by an `augmentation`.",
                stacklevel=2,
            )
    steps = data.steps_per_epoch(split, recipe.batch_size)
    if steps < _FEW_STEPS and recipe.batch_size > 1:
        warnings.warn(
            f"An epoch has {steps} steps: {split.count} training images in batches of "
            f"{recipe.batch_size}. A smaller `batch_size`, such as "
            f"{max(1, split.count // _FEW_STEPS)}, or more `epochs` train further.",
            stacklevel=2,
        )


def warn_of_chance(result: dict, dataset: data.Dataset) -> None:
    """Warns of an accuracy that always naming the commonest class would reach.

    Args:
        result: What the network reaches, as from `evaluation.score_model`.
        dataset: What it was measured on.
    """
    chance = 1 / len(dataset.class_names)
    if dataset.test.labels is not None:
        counts = dataset.test.class_counts(len(dataset.class_names))
        chance = counts.max() / counts.sum()
    deviation = np.sqrt(chance * (1 - chance) / result["images"])
    if result["top1"] <= chance + 2 * deviation:
        warnings.warn(
            f"The network names {result['top1']:.1%} right, no better than always "
            f"naming the commonest class ({chance:.1%}). Perhaps it was trained for "
            "too few steps, at a wrong `learning_rate` (see the loss in log.csv), or "
            "the images do not show their classes.",
            stacklevel=2,
        )
