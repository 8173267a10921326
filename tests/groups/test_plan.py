"""Plans of filter groups: what each layer gets, and what that saves."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots import create_model, profile
from keras_roots.groups.plan import plan_rootify
from keras_roots.groups.rootify import rootify


def _kernels(model):
    return {
        layer.name: tuple(layer.kernel.shape)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }


@pytest.mark.parametrize("topology", ["root", "column", "tree"])
def test_a_dense_nin_becomes_the_root_nin(topology):
    """The paper's own counts, through the general way."""
    dense = create_model("root_nin:1")
    plan = plan_rootify(dense, 8, topology, carry_over="slice")
    expected = create_model("root_nin", root=8, topology=topology)
    made = plan.apply()
    assert _kernels(made) == _kernels(expected)
    assert (plan.macs, plan.params) == (222_487_946, 966_986)
    counted = profile(expected)
    assert (plan.macs_after, plan.params_after) == (counted.macs, counted.params)
    assert profile(made).macs == counted.macs
    assert not plan.unmixed


def test_groups_are_lowered_to_what_channels_allow():
    model = helpers.chain(
        helpers.same_conv(12, 3, "first"),
        helpers.same_conv(18, 3, "odd"),
        helpers.same_conv(18, 1, "point"),
        helpers.same_conv(20, 3, "last", strides=2),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4),
    )
    plan = plan_rootify(model, 16)
    odd, last = plan.layers
    assert (odd.asked, odd.groups, odd.stage) == (16, 6, 0)
    assert (last.asked, last.groups, last.stage) == (8, 2, 1)
    assert odd.macs == 9 * 12 * 18 * 256 + 18
    assert odd.macs_after == 9 * 2 * 18 * 256 + 18
    text = str(plan)
    assert "6     16" in text and f"{plan.macs_after:,}" in text
    assert [layer.groups for layer in plan_rootify(model, (3, 2)).layers] == [3, 2]
    with pytest.raises(ValueError, match="must hold 2 positive integers"):
        plan_rootify(model, (3, 2, 1))
    only = plan_rootify(model, 16, layers=["last"])
    assert [(row.asked, row.groups) for row in only.layers] == [(None, 1), (8, 2)]
    with pytest.raises(ValueError, match="`layers` must name .*odd, last.*first"):
        plan_rootify(model, 16, layers=["first"])
    with pytest.raises(ValueError, match="`carry_over` must be one of"):
        plan_rootify(model, carry_over="magic")


def test_a_plan_says_why_layers_stay():
    model = helpers.chain(
        *(helpers.same_conv(n, 3, f"conv{n}") for n in (8, 16, 9, 12)),
        helpers.same_conv(12, 3, "last"),
    )
    plan = plan_rootify(model, 4, layers=["conv16", "conv9", "conv12"])
    assert {row.name: row.reason for row in plan.layers} == {
        "conv16": "",
        "conv9": "no groups divide its channels and filters",
        "conv12": "",
        "last": "not chosen",
    }
    assert [row.way for row in plan.layers] == ["groups", None, "groups", None]
    assert plan.groups == {"conv16": 4, "conv12": 3}
    assert {row.reason for row in plan_rootify(model, 1).layers} == {"one group"}
    assert "stays because" in str(plan)


def test_nested_and_shared_models():
    inner = helpers.chain(
        helpers.same_conv(8, 3, "a"), helpers.same_conv(8, 3, "b"), side=8
    )
    shared = helpers.same_conv(8, 3, "twice")
    image = keras.Input((8, 8, 3))
    x = inner(image)
    x = keras.layers.Add()([shared(x), shared(keras.layers.ReLU()(x))])
    model = keras.Model(image, keras.layers.Flatten()(x))
    made = rootify(model, 2)
    assert {row.name.split("/")[-1] for row in plan_rootify(model, 2).layers} == {
        "b",
        "twice",
    }
    assert made.get_layer("twice").groups == 2
    assert made.get_layer(inner.name).get_layer("b").groups == 2
    assert made(helpers.pixels(2, 8)).shape == model(helpers.pixels(2, 8)).shape


def test_a_layer_that_nested_models_share_has_the_name_that_others_know_it_by():
    layer = helpers.same_conv(8, 3, "conv")
    sides = [keras.Input((8, 8, 8)) for _ in range(2)]
    one, other = (
        keras.Model(side, layer(side), name=name)
        for side, name in zip(sides, ("one", "other"), strict=True)
    )
    image = keras.Input((8, 8, 3))
    x = helpers.same_conv(8, 3, "first")(image)
    model = keras.Model(image, [one(x), other(x)])
    (row,) = plan_rootify(model, {"one/conv": 2}).layers
    assert (row.name, row.groups) == ("one/conv", 2)
    made = rootify(model, 2)
    kernels = [made.get_layer(n).get_layer("conv").kernel for n in ("one", "other")]
    assert kernels[0] is kernels[1] and kernels[0].shape == (3, 3, 4, 8)


def test_subclassed_models_are_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional or Sequential"):
        rootify(Own())


def test_responses_need_images():
    model = helpers.chain(
        helpers.same_conv(8, 3, "first"), helpers.same_conv(8, 3, "next")
    )
    with pytest.raises(ValueError, match="`images` must be given for carry_over"):
        plan_rootify(model, 2, carry_over="responses")
    with pytest.raises(
        ValueError, match=r"`images` must be numbers of shape \(n, 16, 16, 3\)"
    ):
        plan_rootify(model, 2, carry_over="responses", images=helpers.pixels(2, 8))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"root": np.array([4, 2])}, "`root` as a sequence must hold 1 "),
        ({"seed": -1}, "`seed` must be an integer, 0 or more. Received: seed=-1"),
        ({"seed": "a"}, "`seed` must be an integer"),
        ({"carry_over": ["energy"]}, "`carry_over` must be one of"),
        ({"mix": "yes"}, "`mix` must be True or False. Received: mix='yes'"),
        ({"images": 3}, "`images` must be None without carry_over='responses'"),
        ({"input_shape": (0, 16, 3)}, "`input_shape` must fill in the unknown sides"),
    ],
)
def test_impossible_arguments(argument, message):
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            helpers.same_conv(8, 3, "a"),
            helpers.same_conv(8, 3, "b"),
        ]
    )
    with pytest.raises(ValueError, match=message):
        plan_rootify(model, **{"root": 2, "input_shape": (16, 16, 3), **argument})


def test_a_sequential_that_is_not_built_is_refused_with_any_shape():
    model = keras.Sequential(
        [helpers.same_conv(8, 3, "a"), helpers.same_conv(8, 3, "b")]
    )
    with pytest.raises(ValueError, match="not built"):
        plan_rootify(model, 2, input_shape=(16, 16, 3))


class _Standardised(keras.layers.Conv2D):
    """A convolution that computes something else."""


def test_subclasses_stay_with_the_reason():
    model = helpers.chain(
        helpers.same_conv(8, 3, "first"),
        _Standardised(8, 3, name="own"),
        helpers.same_conv(8, 3, "last"),
    )
    plan = plan_rootify(model, 2)
    rows = {row.name: row for row in plan.layers}
    reason = "a _Standardised, a subclass of Conv2D: what it computes is not known"
    assert rows["own"].reason == reason and reason in str(plan)
    assert (rows["own"].way, rows["last"].way) == (None, "groups")
    assert type(plan.apply().get_layer("own")) is _Standardised
    with pytest.raises(
        ValueError, match="`root` .* must name .*: last. Received: 'own'"
    ):
        plan_rootify(model, {"own": 2})
    with pytest.raises(ValueError, match="`layers` must name .*: last. Received: own"):
        plan_rootify(model, 2, layers=["own"])


def test_layers_to_mix_behind_are_named():
    """Also where the next layer would mix the groups."""
    model = helpers.chain(
        helpers.same_conv(8, 3, "first"),
        helpers.same_conv(8, 3, "second"),
        helpers.same_conv(8, 1, "point"),
    )
    groups = {"second": 2}
    assert not any(row.mix for row in plan_rootify(model, groups, mix=True).layers)
    plan = plan_rootify(model, groups, mix=["second"])
    made = plan.apply()
    assert made.get_layer("second_mix").filters == 8
    assert profile(made).macs == plan.macs_after
    assert "1x1 added" in str(plan)
    with pytest.raises(ValueError, match="`mix` must be of .'second',."):
        plan_rootify(model, groups, mix=["first"])
