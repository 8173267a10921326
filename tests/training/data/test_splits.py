"""Splits: images held out, and crops of photographs."""

import numpy as np
import pytest

from keras_roots.training.data import datasets
from keras_roots.training.data.splits import (
    Arrays,
    Dataset,
    Photographs,
    check_classes,
    check_holdout,
    crop,
)


def test_holdout_is_taken_from_the_training_images(npz):
    path, arrays = npz
    opened = datasets.open_dataset(path, holdout=5)
    assert (opened.train.count, opened.evaluation.count) == (15, 5)
    together = np.concatenate([opened.train.images, opened.evaluation.images])
    rows = {image.tobytes() for image in arrays["x_train"]}
    assert {image.tobytes() for image in together} == rows
    np.testing.assert_array_equal(opened.test.images, arrays["x_test"])


@pytest.mark.parametrize("holdout", [-1, 20, 1.5, True])
def test_impossible_holdouts(holdout):
    check_holdout(19, 20)
    with pytest.raises(ValueError, match=f"`holdout` must .*holdout={holdout}"):
        check_holdout(holdout, 20)


@pytest.mark.parametrize(
    ("classes", "images", "fault"),
    [
        (1, 5, "at least two classes. Received: 1"),
        (10_001, 5, "at most 10,000 classes, .*Received: 10,001 classes of 5 images"),
        (20_000_001, 90_000, "at most 90,000 classes, labels from 0 to 89,999"),
    ],
)
def test_impossible_numbers_of_classes(classes, images, fault):
    check_classes("mine", 2, 2)
    check_classes("mine", 10_000, 5)  # a sample of a data set of many classes
    check_classes("mine", 90_000, 90_000)
    with pytest.raises(ValueError, match=f"'mine' must have {fault}"):
        check_classes("mine", classes, images)


def test_crops_stay_within_the_photograph():
    """A photograph whose pixels tell their place is cut where the draws say."""
    import tensorflow as tf

    image = np.zeros((64, 96, 3), "uint8")
    image[..., 0] = np.arange(64)[:, None]
    image[..., 1] = np.arange(96)
    encoded = tf.io.encode_png(image)
    centre = crop(encoded, 56, "centre").numpy()
    assert centre.shape == (56, 56, 3)
    np.testing.assert_allclose(centre[:, 0, 0], np.arange(4, 60), atol=0.01)
    np.testing.assert_allclose(centre[0, :, 1], np.arange(20, 76), atol=0.01)
    corner = crop(encoded, 56, "random", tf.constant([0.0, 0, 0.999, 0.999]))
    np.testing.assert_allclose(corner[-1, -1, :2], [63, 95], atol=0.01)
    whole = crop(encoded, 32, "scale_aspect", tf.constant([0.99, 0.9, 0.5, 0.5]))
    assert whole.shape == (32, 32, 3)


@pytest.mark.parametrize("value", [0, 255])
def test_crops_keep_the_range_of_pixels(value):
    import tensorflow as tf

    encoded = tf.io.encode_png(np.full((61, 47, 3), value, "uint8"))
    for size in range(3, 70):
        found = crop(encoded, size, "scale_aspect", tf.constant([0.4, 0.7, 0.3, 0.8]))
        assert 0 <= found.numpy().min() and found.numpy().max() <= 255


def test_images_of_arrays_keep_the_range_of_pixels():
    """In the size that a network takes, whatever that is."""
    split = Arrays(np.full((2, 32, 32, 3), 255, "uint8"), np.zeros(2, "int64"))
    for size in range(8, 120, 3):
        images = [split.sample(2, size, 0), *(i for i, _ in split.batches(2, size))]
        for found in images:
            assert found.max() <= 255
            np.testing.assert_allclose(found, 255, atol=1e-3)


@pytest.mark.parametrize(
    ("message", "checked"),
    [
        ("corrupted record at 7 [Op:IteratorGetNext]", True),
        ("{{node MultiDeviceIteratorGetNextFromShard}}", True),
        ("shapes of the network", False),
    ],
)
def test_only_errors_of_the_stream_are_looked_into(message, checked):
    calls = []
    split = Photographs(1, None, lambda: calls.append(1))
    other = Arrays(np.zeros((1, 1, 1, 3), "uint8"), np.zeros(1))
    dataset = Dataset("mine", ("a", "b"), split, other, other)
    with pytest.raises(RuntimeError), dataset.reading():
        raise RuntimeError(message)  # nothing is found: the error stays
    assert bool(calls) == checked
