"""Kernels that convolutions with groups start with."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots.groups import carry_over
from keras_roots.groups.rootify import rootify


def test_fresh_kernels_are_initialised_for_their_groups():
    model = helpers.chain(
        helpers.same_conv(64, 3, "first"),
        helpers.same_conv(64, 3, "next"),
        keras.layers.Flatten(),
    )
    next_ = model.get_layer("next")
    next_.kernel_initializer = keras.initializers.HeNormal(seed=1)
    made = rootify(model, 16, carry_over=None)
    deviation = np.std(made.get_layer("next").kernel)
    assert deviation == pytest.approx((2 / (9 * 4)) ** 0.5, rel=0.05)
    np.testing.assert_array_equal(
        made.get_layer("first").kernel, model.get_layer("first").kernel
    )


def test_cut_takes_diagonal_blocks():
    kernel = np.arange(4 * 6).reshape(1, 1, 4, 6)
    np.testing.assert_array_equal(
        carry_over.cut(kernel, 2)[0, 0],
        [[0, 1, 2, 15, 16, 17], [6, 7, 8, 21, 22, 23]],
    )
