"""Data sets of arrays in memory."""

import numpy as np
import pytest

from keras_roots.training.data.arrays import check_arrays, from_arrays

IMAGES = np.arange(20 * 4 * 4 * 3, dtype="uint8").reshape(20, 4, 4, 3)
LABELS = np.arange(20) % 3


def test_a_fifth_tests_where_no_test_images_are_given():
    dataset = from_arrays((IMAGES, LABELS), 5)
    assert (dataset.train.count, dataset.test.count) == (16, 4)
    assert dataset.class_names == ("0", "1", "2", "3", "4")
    every = np.concatenate([dataset.train.images, dataset.test.images])
    assert sorted(map(bytes, every)) == sorted(map(bytes, IMAGES))
    again = from_arrays([IMAGES, LABELS], 5)
    np.testing.assert_array_equal(again.test.labels, dataset.test.labels)


def test_images_to_test_on():
    dataset = from_arrays((IMAGES, LABELS, IMAGES[:12], LABELS[:12]), 3)
    assert (dataset.train.count, dataset.test.count) == (20, 12)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ((IMAGES,), "Received: tuple of 1"),
        (iter([IMAGES, LABELS]), "Received: .*iterator"),
        (([[1], [1, 2]], LABELS), "what is no array"),
        ((IMAGES.astype("float32"), LABELS), "Images must be uint8"),
        ((IMAGES[..., :1], LABELS), "Images must be uint8"),
        ((IMAGES, LABELS[:, None]), "one for each of the 20 images"),
        ((IMAGES, LABELS.astype(float)), "Labels must be integers"),
        ((IMAGES[:9], LABELS[:9]), "There must be 10 images or more"),
        ((IMAGES, LABELS - 1), "Labels must be from 0 on"),
    ],
)
def test_impossible_arrays(arrays, message):
    with pytest.raises(ValueError, match=message):
        check_arrays(arrays)


def test_labels_of_no_class():
    with pytest.raises(ValueError, match="Labels must be from 0 to 1.*from 0 to 2"):
        from_arrays((IMAGES, LABELS), 2)
