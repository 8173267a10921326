"""The data sets that come with the package."""

import numpy as np
import pytest
from sklearn import datasets

from keras_roots.training.data import datasets as data
from keras_roots.training.data import embedded


@pytest.mark.parametrize(
    ("name", "train", "test"), [("digits", 1438, 359), ("cifar10-sample", 100, 400)]
)
def test_splits(name, train, test):
    dataset = data.open_dataset(name)
    assert (dataset.train.count, dataset.test.count) == (train, test)
    assert dataset.image_size == 32 and len(dataset.class_names) == 10
    for split in (dataset.train, dataset.test):
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64
        assert split.images.shape[1:] == (32, 32, 3)
        assert set(split.labels) == set(range(10))


def test_digits_are_scikit_learns():
    _, (train, labels), (test, _) = embedded.digits()
    pixels = np.concatenate([train, test])[:, ::4, ::4, 0].astype(float) / 255 * 16
    ours = sorted(map(tuple, np.floor(pixels.reshape(len(pixels), -1) + 0.5)))
    theirs = datasets.load_digits().data
    assert ours == sorted(map(tuple, theirs))
    assert np.bincount(labels).min() > 100


def test_the_sample_has_every_class_alike():
    sample = data.open_dataset("cifar10-sample")
    assert list(np.bincount(sample.train.labels)) == [10] * 10
    assert list(np.bincount(sample.test.labels)) == [40] * 10
    assert sample.class_names[3] == "cat"
    images = np.concatenate([sample.train.images, sample.test.images])
    assert len(np.unique(images.reshape(500, -1), axis=0)) == 500
