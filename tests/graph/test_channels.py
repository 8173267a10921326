"""Channels followed through whole models."""

import keras
import pytest
from helpers import Subclassed, between, branches, outputs_of
from keras import layers

import keras_roots
from keras_roots.graph import channel_spaces


def test_a_layer_that_is_called_twice_pins():
    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(6, 1, name="shared")
    relu = layers.ReLU()
    a = relu(layers.Conv2D(6, 3, name="a")(inputs))
    b = relu(layers.Conv2D(6, 3, name="b")(a))
    c = layers.Conv2D(6, 1, name="c")(b)
    outputs = [layers.Conv2D(2, 1)(x) for x in (shared(a), shared(c), b)]
    spaces, a, b, c, own = outputs_of(
        keras.Model(inputs, outputs), "a", "b", "c", "shared"
    )
    for space in (a, c, own):
        assert spaces.pinned(space) == "shared is called more than once"
    assert spaces.pinned(b) == ""


def test_weights_of_another_kind_pin():
    model = between(layers.Dense(5, name="dense"))
    model.get_layer("dense").enable_lora(2)
    spaces, a, dense = outputs_of(model, "a", "dense")
    reason = "dense has other weights: lora_kernel_a, lora_kernel_b"
    assert spaces.pinned(a) == spaces.pinned(dense) == reason


def _inner(name="inner"):
    return keras.Sequential(
        [keras.Input((6, 6, 6)), layers.ReLU(), layers.Conv2D(5, 1, name="conv")],
        name=name,
    )


def test_nested_models_are_entered():
    model = between(_inner())
    spaces, a = outputs_of(model, "a")
    conv = model.get_layer("inner").get_layer("conv")
    assert spaces.inputs(conv) == (a,)
    assert spaces.inputs(model.get_layer("b")) == (spaces.output(conv),)
    assert spaces.pinned(a) == spaces.pinned(spaces.output(conv)) == ""


def test_a_nested_model_that_is_called_twice_pins():
    inner = _inner()
    model = branches(lambda a, b: layers.Add()([inner(a), inner(b)]))
    spaces, a, b = outputs_of(model, "a", "b")
    reason = "conv is called more than once"
    assert spaces.pinned(a) == spaces.pinned(b) == reason


def test_resnet20_has_one_stream_for_each_stage():
    model = keras_roots.RootResNet20()
    spaces, first = outputs_of(model, "conv1_conv")
    streams = {
        stage: {
            spaces.output(model.get_layer(f"{stage}_block{block}_2_conv"))
            for block in (1, 2, 3)
        }
        for stage in ("conv2", "conv3", "conv4")
    }
    assert streams["conv2"] == {first}
    for stage in ("conv3", "conv4"):
        assert streams[stage] == {
            spaces.output(model.get_layer(f"{stage}_block1_0_conv"))
        }
    free = [space for space in spaces if not spaces.pinned(space)]
    # The streams, and between the convolutions of the nine blocks.
    assert sorted(map(spaces.size, free)) == [16] * 4 + [32] * 4 + [64] * 4
    dense = model.get_layer("predictions")
    assert {spaces.inputs(dense)} == {tuple(streams["conv4"])}


def test_nin_with_groups_is_free_away_from_them():
    model = keras_roots.RootNiN(root=2)
    spaces = channel_spaces(model)
    free = [
        layer.name
        for layer in spaces.layers
        if spaces.output(layer) is not None and not spaces.pinned(spaces.output(layer))
    ]
    # conv2a has groups; conv1c is its input, conv3c what the model returns.
    assert free == ["conv1a", "conv1b", "conv2b", "conv2c", "conv3a", "conv3b"]


def test_sides_that_are_not_known():
    model = keras_roots.RootResNet20(include_top=False)
    assert len(set(channel_spaces(model))) == len(
        set(channel_spaces(model, input_shape=(16, 16, 3)))
    )
    with pytest.raises(ValueError, match="`input_shape`"):
        channel_spaces(model, input_shape=(16, 16, 4))


def test_a_subclassed_model_within_pins():
    spaces, a = outputs_of(between(Subclassed(name="m")), "a")
    assert spaces.pinned(a).startswith("m (Subclassed)")


def test_what_has_no_graph_is_refused():
    with pytest.raises(ValueError, match="functional or Sequential"):
        channel_spaces(Subclassed())
    with pytest.raises(ValueError, match="not built"):
        channel_spaces(keras.Sequential([layers.Conv2D(3, 3)]))
