"""Checks of arrays return the value, or say what would work."""

import keras
import numpy as np
import pytest

from keras_roots.utils import checks

SHAPE = (4, 4, 3)
REFUSED = [
    (checks.array, (np.zeros((2, 3)), (2, 2)), r"of shape \(2, 2\)"),
    (checks.array, ("ab", (None,), "(n,)"), r"numbers of shape \(n,\)"),
    (checks.array, (np.zeros((0, 3)), (None, 3)), "numbers of shape"),
    (checks.array, ([1, np.inf], (None,)), "finite"),
    (checks.images, (np.zeros((2, 4, 4, 1)), SHAPE), "shape"),
    (checks.images, (np.zeros((0, 4, 4, 3)), SHAPE), "one image or more"),
    (checks.images, (np.zeros((4, 4, 3)), SHAPE), "shape"),
    (checks.images, (np.full((1, 4, 4, 3), np.nan), SHAPE), "finite"),
    (checks.images, (np.full((1, 4, 4, 3), "a"), SHAPE), "numbers"),
    (checks.images, ([[1], [1, 2]], SHAPE), "shape"),
]


@pytest.mark.parametrize("check, given, words", REFUSED)
def test_what_is_refused_names_the_argument(check, given, words):
    with pytest.raises(ValueError, match=f"`size` must .*{words}.*Received: size"):
        check("size", *given)


def test_images_of_any_side():
    images = np.ones((2, 5, 7, 3), "uint8")
    assert checks.images("size", images, (None, None, 3)) is images
    assert checks.images("size", images.tolist(), (5, 7, 3)).shape == images.shape


def test_arrays_are_numbers_that_numpy_knows():
    bfloat16 = keras.ops.convert_to_tensor([[1.0, 2.0]], "bfloat16")
    found = checks.array("size", keras.ops.convert_to_numpy(bfloat16), (None, 2))
    assert found.tolist() == [[1.0, 2.0]]
