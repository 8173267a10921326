"""Which channels share an order, on graphs small enough to tell by hand."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_roots
from keras_roots.graph.channels import channel_spaces
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.layers.local_response_normalization import LocalResponseNormalization


def _between(*stack, reader=None, **kwargs):
    """A network from convolution "a", 6 filters, through a stack to a reader "b"."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, name="a", **kwargs)(inputs)
    for layer in stack:
        x = layer(x)
    reader = reader or layers.Conv2D(4, 1, name="b")
    return keras.Model(inputs, reader(x))


def _named(model, *names):
    """Returns the spaces of a model and the outputs of some of its layers."""
    spaces = channel_spaces(model)
    return spaces, *(spaces.output(model.get_layer(name)) for name in names)


def _inputs(spaces, model, name):
    return spaces.inputs(model.get_layer(name))


PASSING = {
    "nothing": lambda: [],
    "batch_norm": lambda: [layers.BatchNormalization()],
    "own_batch_norm": lambda: [keras_roots.layers.BatchNormalization(scale=False)],
    "activations": lambda: [layers.Activation(f) for f in ("relu", "silu", "gelu")],
    "relus": lambda: [layers.ReLU(6.0), layers.LeakyReLU(), layers.ELU()],
    "prelu": lambda: [
        layers.PReLU(),
        layers.PReLU(shared_axes=[1]),
        layers.PReLU(shared_axes=[1, 2, 3]),
    ],
    "depthwise": lambda: [layers.DepthwiseConv2D(3, activation="tanh", strides=2)],
    "dropouts": lambda: [
        layers.Dropout(0.5),
        layers.SpatialDropout2D(0.5),
        layers.AlphaDropout(0.5),
        layers.GaussianDropout(0.5),
        layers.GaussianNoise(0.5),
    ],
    "pooling": lambda: [layers.MaxPooling2D(2), layers.AveragePooling2D(2)],
    "sides": lambda: [
        layers.ZeroPadding2D(2),
        layers.Cropping2D(1),
        layers.UpSampling2D(),
    ],
    "global_pooling": lambda: [layers.GlobalAveragePooling2D(keepdims=True)],
    "numbers": lambda: [layers.Rescaling(0.5, [0.1]), layers.Identity()],
    "regularisation": lambda: [layers.ActivityRegularization(0.1)],
    "response": lambda: [LocalResponseNormalization(3, 0.1, "within_channel")],
    "reshape": lambda: [
        layers.Reshape((36, 6)),
        layers.Reshape((3, -1, 6)),
        layers.Reshape((1, 6, 6, 6)),
        layers.Reshape((6, 6, 6)),
    ],
    "pooled_and_reshaped": lambda: [
        layers.GlobalMaxPooling2D(),
        layers.Reshape((6, 1)),
        layers.Reshape((1, 1, 6)),
    ],
    "activation_functions": lambda: [keras.activations.relu, keras.activations.silu],
    "operations": lambda: [keras.ops.relu, keras.ops.tanh, keras.ops.square],
    "arithmetic": lambda: [lambda x: 1 - x / 6.0, lambda x: -x * 2.0],
    "constants_by_position": lambda: [
        lambda x: x * np.full((1, 6, 1), 3.0, "float32"),
    ],
}

PINNING = {
    "softmax": (lambda: [layers.Activation("softmax", name="s")], "s (Activation)"),
    "softmax_layer": (lambda: [layers.Softmax(name="s")], "s (Softmax)"),
    "depthwise_softmax": (
        lambda: [layers.DepthwiseConv2D(1, activation="softmax", name="d")],
        "d (DepthwiseConv2D)",
    ),
    "multiplier": (
        lambda: [layers.DepthwiseConv2D(1, depth_multiplier=2, name="d")],
        "d (DepthwiseConv2D)",
    ),
    "axis": (lambda: [layers.BatchNormalization(axis=1, name="n")], "n (BatchNorm"),
    "group_norm": (lambda: [layers.GroupNormalization(2, name="n")], "n (GroupNorm"),
    "permute": (lambda: [layers.Permute((3, 1, 2), name="p")], "p (Permute)"),
    "shuffle": (lambda: [layers.Reshape((6, 6, 2, 3), name="r")], "r (Reshape)"),
    "across_channels": (
        lambda: [LocalResponseNormalization(3, 0.1, name="n")],
        "n (Local",
    ),
    "scales": (lambda: [layers.Rescaling([1, 2, 3, 4, 5, 6])], "(Rescaling)"),
    "offsets": (lambda: [layers.Rescaling(1, np.arange(6))], "(Rescaling)"),
    "constants": (lambda: [lambda x: x + np.arange(6.0)], "(Add)"),
    "tensor": (lambda: [lambda x: x * keras.ops.arange(6.0)], "(Multiply)"),
    "lambda": (lambda: [layers.Lambda(lambda x: x[..., ::-1])], "(Lambda)"),
    "operation": (lambda: [lambda x: keras.ops.flip(x, axis=-1)], "(Flip)"),
    "channels_first": (
        lambda: [layers.GlobalMaxPooling2D("channels_first", name="g")],
        "g (GlobalMaxPooling2D)",
    ),
}

PINNING_READERS = {
    "groups": (lambda: GroupedConv2D(4, 1, groups=2, name="b"), "b has filter groups"),
    "multiplier": (
        lambda: layers.SeparableConv2D(4, 1, depth_multiplier=2, name="b"),
        "b makes several channels",
    ),
    "axis": (
        lambda: layers.Conv2D(4, 1, data_format="channels_first", name="b"),
        "b has its channels on another axis",
    ),
    "time_distributed": (
        lambda: layers.TimeDistributed(layers.Dense(4), name="b"),
        "b (TimeDistributed)",
    ),
}


@pytest.mark.parametrize("make", PASSING.values(), ids=PASSING)
def test_what_works_on_each_channel_passes_them_on(make):
    model = _between(*make())
    spaces, a, b = _named(model, "a", "b")
    assert _inputs(spaces, model, "b") == (a,)
    assert spaces.size(a) == 6
    assert spaces.pinned(a) == ""
    assert spaces.pinned(b) == "it is an output of the model"
    (first,) = _inputs(spaces, model, "a")
    assert spaces.pinned(first) == "it is an input of the model"
    assert set(spaces) == {first, a, b}


@pytest.mark.parametrize("make,reason", PINNING.values(), ids=PINNING)
def test_what_may_mix_channels_pins_them(make, reason):
    model = _between(*make(), reader=layers.Dense(4, name="b"))
    spaces, a = _named(model, "a")
    assert reason in spaces.pinned(a)
    assert a not in _inputs(spaces, model, "b")
    assert all(spaces.pinned(space) for space in _inputs(spaces, model, "b"))


@pytest.mark.parametrize("make,reason", PINNING_READERS.values(), ids=PINNING_READERS)
def test_readers_that_cannot_take_another_order(make, reason):
    spaces, a = _named(_between(reader=make()), "a")
    assert reason in spaces.pinned(a)


@pytest.mark.parametrize(
    "reader",
    [layers.Dense, layers.SeparableConv2D, layers.Conv2DTranspose, GroupedConv2D],
)
def test_readers_start_a_space(reader):
    arguments = (5,) if reader is layers.Dense else (5, 3)
    model = _between(reader(*arguments, name="b"), reader=layers.Dense(4, name="c"))
    spaces, a, b = _named(model, "a", "b")
    assert _inputs(spaces, model, "b") == (a,)
    assert _inputs(spaces, model, "c") == (b,)
    assert (spaces.size(b), spaces.pinned(b)) == (5, "")


def test_the_activation_of_a_convolution():
    spaces, a = _named(_between(activation="sigmoid"), "a")
    assert spaces.pinned(a) == ""
    spaces, a = _named(_between(activation="softmax"), "a")
    assert spaces.pinned(a) == "the activation of a may need its order"


def test_groups_pin_both_ends():
    model = _between(
        GroupedConv2D(8, 3, groups=2, name="g"), layers.Conv2D(8, 1, name="mix")
    )
    spaces, a, g, mix = _named(model, "a", "g", "mix")
    assert spaces.pinned(a) == spaces.pinned(g) == "g has filter groups"
    assert _inputs(spaces, model, "g") == (a,)
    assert spaces.pinned(mix) == ""


def test_weights_along_the_channels():
    model = _between(
        layers.BatchNormalization(name="norm"),
        layers.PReLU(shared_axes=[1, 2], name="prelu"),
        layers.DepthwiseConv2D(3, name="depthwise"),
        layers.Conv2DTranspose(4, 3, name="transposed"),
    )
    spaces, a, t = _named(model, "a", "transposed")
    weights = {layer.name: spaces.weights(layer) for layer in spaces.layers}
    assert list(weights) == ["a", "norm", "prelu", "depthwise", "transposed", "b"]
    statistics = ("gamma", "beta", "moving_mean", "moving_variance")
    assert weights["norm"] == {name: {-1: (a,)} for name in statistics}
    assert weights["prelu"] == {"alpha": {-1: (a,)}}
    assert weights["depthwise"] == {"kernel": {-2: (a,)}, "bias": {-1: (a,)}}
    assert weights["transposed"]["kernel"] == {-1: (a,), -2: (t,)}
    assert spaces.output(model.get_layer("norm")) is None
    assert _inputs(spaces, model, "norm") == (a,)


def test_what_is_not_tracked():
    model = _between(layers.ReLU(name="relu"))
    spaces = channel_spaces(model)
    relu = model.get_layer("relu")
    assert spaces.inputs(relu) == ()
    assert spaces.output(relu) is None
    assert spaces.weights(relu) == {}


def _branches(join, first=6, second=6, **kwargs):
    """Branches "a" and "b", joined, with a reader "c"."""
    inputs = keras.Input((8, 8, 3))
    a = layers.Conv2D(first, 3, name="a")(inputs)
    b = layers.Conv2D(second, 3, name="b", **kwargs)(inputs)
    return keras.Model(inputs, layers.Conv2D(4, 1, name="c")(join(a, b)))


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
    model = _branches(join)
    spaces, a, b = _named(model, "a", "b")
    assert a == b
    assert _inputs(spaces, model, "c") == (a,)
    assert (spaces.size(a), spaces.pinned(a)) == (6, "")
    assert len(set(spaces)) == 3


def test_a_reason_is_merged_too():
    for softmax in ("a", "b"):
        inputs = keras.Input((8, 8, 3))
        kinds = {softmax: "softmax"}
        a = layers.Conv2D(6, 3, name="a", activation=kinds.get("a"))(inputs)
        b = layers.Conv2D(6, 3, name="b", activation=kinds.get("b"))(inputs)
        model = keras.Model(inputs, layers.Conv2D(4, 1)(layers.Add()([a, b])))
        spaces, a, b = _named(model, "a", "b")
        assert a == b
        assert spaces.pinned(a) == f"the activation of {softmax} may need its order"


def test_one_channel_for_all_is_not_joined():
    model = _branches(lambda a, b: layers.Multiply()([b, a]), second=1)
    spaces, a, b = _named(model, "a", "b")
    assert (spaces.size(a), spaces.size(b)) == (6, 1)
    assert spaces.pinned(a) == spaces.pinned(b) == ""
    assert _inputs(spaces, model, "c") == (a,)


def test_concatenated_branches_stay_apart():
    model = _branches(lambda a, b: layers.Concatenate()([b, a]), second=5)
    spaces, a, b = _named(model, "a", "b")
    assert _inputs(spaces, model, "c") == (b, a)
    assert (spaces.size(a), spaces.size(b)) == (6, 5)
    assert spaces.pinned(a) == spaces.pinned(b) == ""


def test_sums_of_concatenated_branches():
    def join(a, b):
        one = layers.Concatenate()([a, b])
        return layers.Add()([one, keras.ops.concatenate([b, a], axis=-1)])

    model = _branches(join)
    spaces, a, b = _named(model, "a", "b")
    assert a == b
    assert _inputs(spaces, model, "c") == (a, a)


def test_channels_that_are_made_up_differently():
    def join(a, b):
        return layers.Add(name="sum")([layers.Concatenate()([a, a]), b])

    spaces, a, b = _named(_branches(join, second=12), "a", "b")
    reason = "sum joins channels that are made up differently"
    assert spaces.pinned(a) == spaces.pinned(b) == reason


def test_flattened_channels_come_again_at_every_position():
    def join(a, b):
        x = layers.MaxPooling2D((3, 2))(layers.Concatenate()([a, b]))
        return layers.Reshape((1, 1, 66))(layers.Flatten()(x))

    model = _branches(join, second=5)
    spaces, a, b = _named(model, "a", "b")
    assert _inputs(spaces, model, "c") == (a, b) * 6
    assert spaces.pinned(a) == spaces.pinned(b) == ""


def test_a_sum_along_other_axes_pins():
    """The channels of "b" are added along the width of "a"."""

    def join(a, b):
        b = layers.Reshape((6, 1))(layers.GlobalMaxPooling2D()(b))
        return layers.Add(name="sum")([a, b])

    spaces, a, b = _named(_branches(join), "a", "b")
    assert spaces.pinned(a) == ""
    assert spaces.pinned(b) == "sum has its channels on another axis"


def test_a_layer_that_is_called_twice_pins():
    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(6, 1, name="shared")
    relu = layers.ReLU()
    a = relu(layers.Conv2D(6, 3, name="a")(inputs))
    b = relu(layers.Conv2D(6, 3, name="b")(a))
    c = layers.Conv2D(6, 1, name="c")(b)
    outputs = [layers.Conv2D(2, 1)(x) for x in (shared(a), shared(c), b)]
    spaces, a, b, c, own = _named(keras.Model(inputs, outputs), "a", "b", "c", "shared")
    for space in (a, c, own):
        assert spaces.pinned(space) == "shared is called more than once"
    assert spaces.pinned(b) == ""


def test_weights_of_another_kind_pin():
    model = _between(layers.Dense(5, name="dense"))
    model.get_layer("dense").enable_lora(2)
    spaces, a, dense = _named(model, "a", "dense")
    reason = "dense has other weights: lora_kernel_a, lora_kernel_b"
    assert spaces.pinned(a) == spaces.pinned(dense) == reason


def _inner(name="inner"):
    return keras.Sequential(
        [keras.Input((6, 6, 6)), layers.ReLU(), layers.Conv2D(5, 1, name="conv")],
        name=name,
    )


def test_nested_models_are_entered():
    model = _between(_inner())
    spaces, a = _named(model, "a")
    conv = model.get_layer("inner").get_layer("conv")
    assert spaces.inputs(conv) == (a,)
    assert _inputs(spaces, model, "b") == (spaces.output(conv),)
    assert spaces.pinned(a) == spaces.pinned(spaces.output(conv)) == ""


def test_a_nested_model_that_is_called_twice_pins():
    inner = _inner()
    model = _branches(lambda a, b: layers.Add()([inner(a), inner(b)]))
    spaces, a, b = _named(model, "a", "b")
    reason = "conv is called more than once"
    assert spaces.pinned(a) == spaces.pinned(b) == reason


def test_resnet20_has_one_stream_for_each_stage():
    model = keras_roots.RootResNet20()
    spaces, first = _named(model, "conv1_conv")
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


def test_channels_first():
    keras.config.set_image_data_format("channels_first")
    inputs = keras.Input((3, 8, 7))
    a = layers.Conv2D(6, 3, name="a")(inputs)
    x = layers.PReLU(shared_axes=[2, 3], name="prelu")(
        layers.BatchNormalization(axis=1)(a)
    )
    b = layers.Conv2D(6, 1, name="b")(layers.ZeroPadding2D()(x))
    gate = layers.Reshape((6, 1, 1))(layers.GlobalAveragePooling2D()(b))
    x = layers.Multiply()([layers.MaxPooling2D(2)(x), gate])
    x = layers.Concatenate(axis=1)([x, layers.Conv2D(5, 1, name="c")(x)])
    model = keras.Model(inputs, layers.Dense(2, name="d")(layers.Flatten()(x)))
    spaces, a, b, c = _named(model, "a", "b", "c")
    assert a == b
    assert spaces.pinned(a) == spaces.pinned(c) == ""
    assert _inputs(spaces, model, "d") == (a, c) * 6
    assert spaces.weights(model.get_layer("prelu")) == {"alpha": {-3: (a,)}}


def test_flatten_that_keeps_channels_together_pins():
    """Without data_format="channels_first" a channel's positions are neighbours."""
    inputs = keras.Input((3, 8, 7))
    x = layers.Conv2D(6, 3, name="a", data_format="channels_first")(inputs)
    x = layers.Flatten("channels_last", name="f")(x)
    spaces, a = _named(keras.Model(inputs, layers.Dense(2)(x)), "a")
    assert spaces.pinned(a).startswith("f (Flatten)")


def test_sides_that_are_not_known():
    model = keras_roots.RootResNet20(include_top=False)
    assert len(set(channel_spaces(model))) == len(
        set(channel_spaces(model, input_shape=(16, 16, 3)))
    )
    with pytest.raises(ValueError, match="`input_shape`"):
        channel_spaces(model, input_shape=(16, 16, 4))


class _Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def test_a_subclassed_model_within_pins():
    spaces, a = _named(_between(_Subclassed(name="m")), "a")
    assert spaces.pinned(a).startswith("m (_Subclassed)")


def test_what_has_no_graph_is_refused():
    with pytest.raises(ValueError, match="functional or Sequential"):
        channel_spaces(_Subclassed())
    with pytest.raises(ValueError, match="not built"):
        channel_spaces(keras.Sequential([layers.Conv2D(3, 3)]))
