"""Sample images: what is refused, how they are batched and run."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.convolutions import samples
from keras_roots.layers.grouped_conv2d import GroupedConv2D


def _model(shape=(9, 9, 4)):
    return keras.Sequential([keras.Input(shape), layers.Conv2D(4, 3, groups=2)])


def test_images_become_an_array():
    found = samples.check_images(_model(), np.zeros((2, 9, 9, 4), "uint8").tolist())
    assert found.shape == (2, 9, 9, 4)
    assert (
        len(samples.check_images(_model((None, None, 4)), np.zeros((1, 5, 7, 4)))) == 1
    )


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((0, 9, 9, 4)),
        np.zeros((2, 9, 8, 4)),
        np.zeros((9, 9, 4)),
        np.full((2, 9, 9, 4), np.inf),
        np.full((2, 9, 9, 4), "pixel"),
        None,
    ],
)
def test_images_that_do_not_fit(images):
    with pytest.raises(ValueError, match="`images`.*Received: "):
        samples.check_images(_model(), images)


def test_models_that_take_no_single_image():
    inputs = [keras.Input((9, 9, 4)), keras.Input((9, 9, 4))]
    two = keras.Model(inputs, layers.add(inputs))
    with pytest.raises(ValueError, match="one input.*with 2 inputs"):
        samples.check_images(two, np.zeros((2, 9, 9, 4)))
    with pytest.raises(ValueError, match="built"):
        samples.check_images(
            keras.Sequential([layers.Conv2D(2, 3)]), np.zeros((2, 9, 9, 4))
        )


def test_batches_are_of_nearly_equal_size():
    images = np.arange(10)[:, None, None, None] * np.ones((10, 9, 9, 4))
    found = list(samples.batches(_model(), images, 4))
    assert [len(batch) for batch in found] == [4, 3, 3]
    np.testing.assert_array_equal(np.concatenate(found), images)


@pytest.mark.parametrize("batch_size", [0, 2.5, True, "8"])
def test_impossible_batches(batch_size):
    with pytest.raises(ValueError, match=f"Received: batch_size={batch_size!r}"):
        list(samples.batches(_model(), np.zeros((2, 9, 9, 4)), batch_size))


def test_a_runnable_copy():
    """Stock groups are swapped for fast ones, and nothing else changes."""
    model = _model()
    copy = samples.runnable(model)
    assert type(copy.get_layer(model.layers[0].name)) is GroupedConv2D
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_inference_mode():
    ones = np.ones((2, 50), "float32")
    dropout = layers.Dropout(0.5)
    np.testing.assert_array_equal(
        samples.infer(dropout, (ones,), {"training": True}), ones
    )
    dense = layers.Dense(3)
    assert samples.infer(dense, (ones,), {}).shape == (2, 3)
