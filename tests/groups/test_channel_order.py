"""Channels that belong together, layer by layer."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots.groups import assignment, channel_order
from keras_roots.groups.rootify import rootify


@pytest.mark.parametrize("how", ["energy", "slice"])
def test_what_is_cut_is_what_the_dense_network_loses(how):
    """Where a kernel holds shuffled blocks only, energy finds them; slices do not."""
    model = helpers.chain(
        helpers.same_conv(8, 3, "first", activation="relu"),
        keras.layers.BatchNormalization(),
        helpers.same_conv(12, 3, "middle", activation="relu"),
        helpers.same_conv(6, 1, "point"),
    )
    generator = np.random.default_rng(0)
    kernel, bias = model.get_layer("middle").get_weights()
    inputs, filters = generator.permutation(8) % 4, generator.permutation(12) % 4
    kernel *= inputs[:, None] == filters
    model.get_layer("middle").set_weights([kernel, bias])
    made = rootify(model, 4, carry_over=how)
    images = helpers.pixels(2, 16) / 255
    same = np.allclose(made(images), model(images), rtol=1e-4, atol=1e-5)
    assert same == (how == "energy")
    kept = np.square(made.get_layer("middle").kernel).sum() / np.square(kernel).sum()
    assert (kept > 1 - 1e-6) == (how == "energy")


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_inputs_of_the_model_keep_their_order(groups):
    """Only filters are chosen."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            helpers.same_conv(4, 3, "conv"),
            keras.layers.Dense(2, name="end"),
        ]
    )
    kernel = model.get_layer("conv").get_weights()[0]
    (found,) = channel_order.groupings(model, {"conv": (groups,)})["conv"]
    energy = assignment.energy_matrix(kernel)
    best = assignment.group_channels(energy, groups, inputs=range(4))
    np.testing.assert_array_equal(found.inputs, range(4))
    assert found.kept == pytest.approx(best.kept)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_layer_added_to_its_own_inputs_cannot_sort_them(groups):
    """Each filter takes the input before it, of another group or of none."""
    inputs = keras.Input((4, 4, 3))
    stem = helpers.same_conv(4, 3, "stem")(inputs)
    added = helpers.same_conv(4, 3, "conv")(stem)
    outputs = keras.layers.Dense(2)(keras.layers.Add()([stem, added]))
    model = keras.Model(inputs, outputs)
    kernel = np.roll(np.eye(4), 1, axis=1)
    whole = np.zeros((3, 3, 4, 4))
    whole[1, 1] = kernel
    model.get_layer("conv").set_weights([whole, np.zeros(4)])
    block = np.kron(np.eye(groups), np.ones((4 // groups, 4 // groups)))
    (found,) = channel_order.groupings(model, {"conv": (groups,)})["conv"]
    assert found.kept == pytest.approx((kernel * block).sum() / 4, abs=1e-6)


def test_the_order_of_shared_channels_is_free_for_the_first_layer_only():
    """A later layer may have to take the order that the first one needs."""
    model = helpers.chain(
        helpers.same_conv(8, 1, "stem"),
        helpers.same_conv(8, 3, "first"),
        helpers.same_conv(8, 3, "second"),
        helpers.same_conv(8, 1, "point"),
    )
    blocks = np.random.default_rng(0).permutation(8) % 2
    for name in ("first", "second"):
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        if name == "second":
            kernel *= blocks[:, None] == blocks
        layer.set_weights([kernel, bias])
    alone = channel_order.groupings(model, {"second": (2,)})["second"][0]
    after = channel_order.groupings(model, {"first": (2,), "second": (2,)})
    assert alone.kept == pytest.approx(1)
    assert after["second"][0].kept < 0.9
    np.testing.assert_array_equal(after["second"][0].inputs, range(8))


def test_weights_that_are_no_numbers_are_named():
    model = helpers.chain(
        helpers.same_conv(8, 3, "first"), helpers.same_conv(8, 3, "middle")
    )
    middle = model.get_layer("middle")
    middle.set_weights([np.full(w.shape, np.nan) for w in middle.get_weights()])
    with pytest.raises(ValueError, match="`model` must have finite .* 'middle'"):
        channel_order.put_in_order(model, {"middle": 2})
    with pytest.raises(ValueError, match="`model` must have finite .* 'middle'"):
        channel_order.groupings(model, {"middle": (2,)})
