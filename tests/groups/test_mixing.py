"""Groups that nothing mixes, and 1x1s that do."""

import helpers
import keras
import numpy as np

from keras_roots import profile
from keras_roots.groups.plan import plan_rootify
from keras_roots.groups.rootify import rootify


def _unmixed():
    """Two grouped convolutions in a row, a 1x1, one that reaches the output."""
    return helpers.chain(
        helpers.same_conv(8, 3, "first"),
        helpers.same_conv(8, 3, "one", activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.DepthwiseConv2D(3, padding="same"),
        helpers.same_conv(8, 3, "two"),
        helpers.same_conv(8, 1, "point"),
        helpers.same_conv(8, 3, "three", activation="tanh"),
        keras.layers.GlobalAveragePooling2D(),
    )


def test_groups_that_never_mix_are_reported_and_mixed():
    model = _unmixed()
    plan = plan_rootify(model, 4)
    assert plan.unmixed == {"one": "two", "three": "an output"}
    mixed = plan_rootify(model, 4, mix=True, carry_over="slice")
    assert mixed.unmixed == {}
    made = mixed.apply()
    names = [layer.name for layer in made.layers]
    assert names[names.index("one") + 1] == "one_mix"
    assert "two_mix" not in names and "three_mix" in names
    assert made.get_layer("one_mix").activation is keras.activations.relu
    assert made.get_layer("three_mix").activation is keras.activations.linear
    assert mixed.macs_after == profile(made).macs
    assert mixed.params_after == profile(made).params
    np.testing.assert_array_equal(made.get_layer("one_mix").kernel[0, 0], np.eye(8))


def test_mixing_alone_changes_nothing():
    model = _unmixed()
    made = rootify(model, 4, mix=True, carry_over="slice")
    weights = {layer.name: layer.get_weights() for layer in made.layers}
    block = {"groups": 4}
    for name in ("one", "two", "three"):
        kernel, bias = model.get_layer(name).get_weights()
        mask = np.zeros(kernel.shape[2:])
        for g in range(block["groups"]):
            mask[2 * g : 2 * g + 2, 2 * g : 2 * g + 2] = 1
        model.get_layer(name).set_weights([kernel * mask, bias])
        np.testing.assert_array_equal(weights[name][1], bias)
    images = helpers.pixels(2, 16) / 255
    np.testing.assert_allclose(made(images), model(images), rtol=1e-4, atol=1e-6)


def test_only_convolutions_have_filter_groups():
    """GroupNormalization has groups too, and a 1x1 with one channel each mixes none."""
    model = helpers.chain(
        helpers.same_conv(8, 3, "first"),
        helpers.same_conv(8, 3, "conv"),
        keras.layers.GroupNormalization(4),
        helpers.same_conv(8, 1, "depthwise", groups=8),
        helpers.same_conv(8, 1, "point"),
    )
    plan = plan_rootify(model, 4, mix=True)
    assert plan.unmixed == {} and not any(row.mix for row in plan.layers)


def test_a_1x1_takes_a_name_that_is_free():
    model = helpers.chain(
        *(helpers.same_conv(8, 3, name) for name in ("first", "one", "one_mix", "two"))
    )
    made = rootify(model, 4, mix=True, carry_over="slice")
    names = [
        layer.name for layer in made.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    assert names == [
        "first",
        "one",
        "one_mix1",
        "one_mix",
        "one_mix_mix",
        "two",
        "two_mix",
    ]
    assert made.get_layer("one_mix").groups == 4
