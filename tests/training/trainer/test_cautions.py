"""What is said of trainings that will not give much, or have not."""

import warnings

import numpy as np
import pytest

from keras_roots.training.data import Arrays, in_memory
from keras_roots.training.trainer.cautions import warn_of_chance, warn_of_few
from keras_roots.training.trainer.recipes import Recipe

NAMES = ("cat", "dog", "owl")


def dataset(train, test=(30, 10, 10)):
    """Images of three classes, so many of each."""
    splits = []
    for counts in (train, test):
        labels = np.repeat(np.arange(3), counts)
        splits.append(Arrays(np.zeros((len(labels), 4, 4, 3), "uint8"), labels))
    return in_memory("pets", NAMES, *splits, holdout=0)


def test_classes_of_few_images():
    with pytest.warns(UserWarning, match="2 of 3 classes .* 20 .*'dog' 3: .*weights"):
        warn_of_few(dataset((200, 3, 19)), Recipe(1, 8, 0.1))


def test_epochs_of_few_steps():
    with pytest.warns(UserWarning, match="3 steps: 96 .*batches of 32.*such as 9"):
        warn_of_few(dataset((32, 32, 32)), Recipe(1, 32, 0.1))


@pytest.mark.parametrize("top1", [0.0, 0.6, 0.72])
def test_no_better_than_the_commonest_class(top1):
    result = {"top1": top1, "images": 50}
    with pytest.warns(UserWarning, match="no better than .*commonest class .60.0%"):
        warn_of_chance(result, dataset((20, 20, 20)))


def test_nothing_is_said_of_others():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_few(dataset((40, 40, 40)), Recipe(1, 8, 0.1))
        warn_of_chance({"top1": 0.9, "images": 50}, dataset((20, 20, 20)))
