"""Splits: images held out, and crops of photographs."""

import numpy as np
import pytest

from keras_roots.training.data import datasets
from keras_roots.training.data.splits import check_classes, check_holdout, crop


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


def test_one_class_is_refused():
    check_classes("mine", 2)
    with pytest.raises(ValueError, match="'mine' must have at least two classes"):
        check_classes("mine", 1)


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
