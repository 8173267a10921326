"""Which channels share an order where branches are joined."""

import keras
import numpy as np
import pytest
from helpers import branches, outputs_of
from keras import layers


def _gate(*stack):
    """Squeeze and excitation: a gate for each channel, by the units of "b"."""

    def join(a, b):
        gate = layers.GlobalAveragePooling2D()(b)
        for layer in stack:
            gate = layer(gate)
        return layers.Multiply()([a, gate])

    return join


MERGING = {
    "add": lambda a, b: layers.Add()([a, b]),
    "average": lambda a, b: layers.Average()([a, b]),
    "maximum": lambda a, b: layers.Maximum()([a, b]),
    "minimum": lambda a, b: layers.Minimum()([a, b]),
    "multiply": lambda a, b: layers.Multiply()([a, b]),
    "subtract": lambda a, b: layers.Subtract()([a, b]),
    "sum_of_three": lambda a, b: layers.Add()([b, layers.ReLU()(b), a]),
    "operations": lambda a, b: keras.ops.maximum(a * 2.0, b) / b,
    "gate": _gate(layers.Reshape((1, 1, 6))),
    "gate_by_rank": _gate(),
    "side_by_side": lambda a, b: layers.Concatenate(axis=2)([a, b]),
}


@pytest.mark.parametrize("join", MERGING.values(), ids=MERGING)
def test_what_is_joined_has_one_order(join):
    model = branches(join)
    spaces, a, b = outputs_of(model, "a", "b")
    assert a == b
    assert spaces.inputs(model.get_layer("c")) == (a,)
    assert (spaces.size(a), spaces.pinned(a)) == (6, "")
    assert len(set(spaces)) == 3


def test_a_reason_is_merged_too():
    for softmax in ("a", "b"):
        inputs = keras.Input((8, 8, 3))
        kinds = {softmax: "softmax"}
        a = layers.Conv2D(6, 3, name="a", activation=kinds.get("a"))(inputs)
        b = layers.Conv2D(6, 3, name="b", activation=kinds.get("b"))(inputs)
        model = keras.Model(inputs, layers.Conv2D(4, 1)(layers.Add()([a, b])))
        spaces, a, b = outputs_of(model, "a", "b")
        assert a == b
        assert spaces.pinned(a) == f"the activation of {softmax} may need its order"


def test_one_channel_for_all_is_not_joined():
    model = branches(lambda a, b: layers.Multiply()([b, a]), second=1)
    spaces, a, b = outputs_of(model, "a", "b")
    assert (spaces.size(a), spaces.size(b)) == (6, 1)
    assert spaces.pinned(a) == spaces.pinned(b) == ""
    assert spaces.inputs(model.get_layer("c")) == (a,)


def test_concatenated_branches_stay_apart():
    model = branches(lambda a, b: layers.Concatenate()([b, a]), second=5)
    spaces, a, b = outputs_of(model, "a", "b")
    assert spaces.inputs(model.get_layer("c")) == (b, a)
    assert (spaces.size(a), spaces.size(b)) == (6, 5)
    assert spaces.pinned(a) == spaces.pinned(b) == ""


def test_sums_of_concatenatedbranches():
    def join(a, b):
        one = layers.Concatenate()([a, b])
        return layers.Add()([one, keras.ops.concatenate([b, a], axis=-1)])

    model = branches(join)
    spaces, a, b = outputs_of(model, "a", "b")
    assert a == b
    assert spaces.inputs(model.get_layer("c")) == (a, a)


def test_channels_that_are_made_up_differently():
    def join(a, b):
        return layers.Add(name="sum")([layers.Concatenate()([a, a]), b])

    spaces, a, b = outputs_of(branches(join, second=12), "a", "b")
    reason = "sum joins channels that are made up differently"
    assert spaces.pinned(a) == spaces.pinned(b) == reason


def test_a_sum_along_other_axes_pins():
    """The channels of "b" are added along the width of "a"."""

    def join(a, b):
        b = layers.Reshape((6, 1))(layers.GlobalMaxPooling2D()(b))
        return layers.Add(name="sum")([a, b])

    spaces, a, b = outputs_of(branches(join), "a", "b")
    assert spaces.pinned(a) == ""
    assert spaces.pinned(b) == "sum has its channels on another axis"


def test_constants_of_concatenated_branches():
    """Layer and operation concatenate constants as they do channels."""
    model = branches(
        lambda a, b: keras.ops.concatenate([b, layers.Concatenate()([a, b])], axis=-1)
    )
    for index, name in enumerate("ab"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel, np.full_like(bias, index + 1)])
    spaces, a, b = outputs_of(model, "a", "b")
    reader = model.get_layer("c")
    assert spaces.inputs(reader) == (b, a, b)
    assert spaces.constants(reader).tolist() == [2] * 6 + [1] * 6 + [2] * 6
    filters = [n for x in "ab" for n in spaces.filters(model.get_layer(x))]
    assert {spaces.kept(number) for number in filters} == {""}
