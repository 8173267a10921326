"""Spaces of channels by themselves: orders, numbers of filters, reasons."""

import numpy as np
import pytest
from helpers import between, outputs_of
from keras import layers

from keras_roots.graph import Spaces


def test_the_first_reason_is_kept():
    spaces = Spaces()
    one, other = spaces.add_filters(3), spaces.add(2, "given")
    assert (spaces.pinned(one), spaces.pinned(other)) == ("", "given")
    for reason in ("first", "second"):
        spaces.pin([one, other], reason)
        spaces.keep([one, other], reason, where=np.array([0, 1, 0, 0, 1], "bool"))
    assert (spaces.pinned(one), spaces.pinned(other)) == ("first", "given")
    assert [spaces.kept(number) for number in range(3)] == ["", "first", ""]


def test_filters_are_numbered_one_after_the_other():
    spaces = Spaces()
    one, none, two = spaces.add_filters(2), spaces.add(3), spaces.add_filters(1)
    assert spaces.sources([two, none, one]).tolist() == [2, -1, -1, -1, 0, 1]
    assert spaces.sources([]).size == 0
    assert list(map(spaces.size, (one, none, two))) == [2, 3, 1]


def test_copies_come_from_the_filters_of_others():
    spaces = Spaces()
    one, none = spaces.add_filters(2), spaces.add(1)
    copies = spaces.add_copies((none, one), np.array([2, 2, 0, 1]), "doubled")
    assert spaces.sources([copies]).tolist() == [1, 1, -1, 0]
    assert {spaces.pinned(x) for x in (one, none, copies)} == {"doubled"}
    assert [spaces.kept(number) for number in range(2)] == ["", ""]


def test_merged_spaces_have_one_order_and_their_filters_are_kept():
    spaces = Spaces()
    one, two, three = (spaces.add_filters(2) for _ in range(3))
    spaces.pin([three], "pinned before")
    assert spaces.merge([(one,), (two,)], "sum") == (one,)
    assert spaces.merge([(two,), (three,)], "product") == (two,)
    assert len(set(spaces)) == 1
    assert {spaces.pinned(x) for x in (one, two, three)} == {"pinned before"}
    reasons = [spaces.kept(number) for number in range(6)]
    assert reasons == ["sum needs it"] * 4 + ["product needs it"] * 2


def test_axes_of_other_sizes_are_pinned():
    spaces = Spaces()
    one, two, whole = (spaces.add_filters(size) for size in (1, 2, 3))
    assert spaces.merge([(one, two), (whole,)], "sum") == (one, two)
    reason = "sum joins channels that are made up differently"
    assert {spaces.pinned(x) for x in (one, two, whole)} == {reason}
    assert len(set(spaces)) == 3


def test_filters_of_a_layer():
    model = between(layers.DepthwiseConv2D(1, name="depthwise"))
    spaces, a, b = outputs_of(model, "a", "b")
    numbers = {layer.name: spaces.filters(layer) for layer in spaces.layers}
    assert numbers == {"a": tuple(range(6)), "depthwise": (), "b": (6, 7, 8, 9)}
    assert spaces.sources([a]).tolist() == list(range(6))
    assert spaces.filters(layers.ReLU()) == ()


def test_constants_of_a_layer():
    """A filter of zeros gives its bias, and what later layers make of it."""
    model = between(layers.Rescaling(2.0, 1.0), layers.LeakyReLU(0.5))
    convolution = model.get_layer("a")
    bias = np.array([-2, -1, 0, 1, 2, 3], "float32")
    convolution.set_weights([convolution.get_weights()[0], bias])
    spaces, _ = outputs_of(model, "a")
    constants = spaces.constants(model.get_layer("b"))
    assert constants.tolist() == [-1.5, -0.5, 1, 3, 5, 7]
    with pytest.raises(KeyError):
        spaces.constants(layers.ReLU())
