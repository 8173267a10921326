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


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("carry", ["slice", "energy", "responses", None])
def test_activations_that_are_layers_and_lora(use_bias, carry):
    settings = {"padding": "same", "use_bias": use_bias}
    model = helpers.chain(
        keras.layers.Conv2D(8, 3, name="first", **settings),
        keras.layers.Conv2D(
            8, 3, name="next", activation=keras.layers.PReLU(), **settings
        ),
        keras.layers.Conv2D(8, 1, name="point", activation=keras.layers.PReLU()),
        keras.layers.Conv2D(8, 1, name="last"),
    )
    images = np.random.default_rng(2).normal(size=(20, 16, 16, 3)).astype("float32")
    model(images)  # builds the activations
    for name in ("next", "last"):
        layer = model.get_layer(name)
        layer.enable_lora(2)
        values = np.random.default_rng(0).normal(size=layer.lora_kernel_b.shape)
        layer.lora_kernel_b.assign(values)
    alpha = model.get_layer("next").activation.alpha
    alpha.assign(np.random.default_rng(1).normal(size=alpha.shape))
    images = images if carry == "responses" else None
    made = rootify(model, 2, carry_over=carry, images=images).get_layer("next")
    assert made.groups == 2 and not made.lora_enabled
    np.testing.assert_array_equal(made.activation.alpha, alpha)
    if carry == "slice":
        kernel = carry_over.cut(np.array(model.get_layer("next").kernel), 2)
        np.testing.assert_array_equal(made.kernel, kernel)
