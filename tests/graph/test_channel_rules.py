"""Which channels pass a layer, on graphs small enough to tell by hand."""

import keras
import numpy as np
import pytest
from helpers import between, branches, outputs_of
from keras import layers

import keras_roots
from keras_roots.graph import channel_spaces
from keras_roots.layers import GroupedConv2D, LocalResponseNormalization

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
        "d makes several channels of each",
    ),
    "axis": (
        lambda: [layers.BatchNormalization(axis=1, name="n")],
        "n has its channels on another axis",
    ),
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


class _Own(layers.ReLU):
    """A ReLU that may look at all channels."""


class _OwnConvolution(layers.Conv2D):
    """A convolution that may look at them in their order."""


class _OwnModel(type(keras.Model(*[keras.Input((1,))] * 2))):
    """A functional model with a `call` of its own."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=training, mask=mask)[..., ::-1]


def _own_model():
    inputs = keras.Input((6, 6, 6))
    return _OwnModel(inputs, layers.ReLU()(inputs), name="m")


PINNING |= {
    "subclass": (lambda: [_Own(name="r")], "r (_Own)"),
    "subclass of a convolution": (lambda: [_OwnConvolution(4, 1)], "(_OwnConvolution)"),
    "model with a call": (lambda: [_own_model()], "m (_OwnModel)"),
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
    model = between(*make())
    spaces, a, b = outputs_of(model, "a", "b")
    assert spaces.inputs(model.get_layer("b")) == (a,)
    assert spaces.size(a) == 6
    assert spaces.pinned(a) == ""
    assert spaces.pinned(b) == "it is an output of the model"
    (first,) = spaces.inputs(model.get_layer("a"))
    assert spaces.pinned(first) == "it is an input of the model"
    assert set(spaces) == {first, a, b}


@pytest.mark.parametrize("make,reason", PINNING.values(), ids=PINNING)
def test_what_may_mix_channels_pins_them(make, reason):
    model = between(*make(), reader=layers.Dense(4, name="b"))
    spaces, a = outputs_of(model, "a")
    assert reason in spaces.pinned(a)
    assert a not in spaces.inputs(model.get_layer("b"))
    assert all(spaces.pinned(space) for space in spaces.inputs(model.get_layer("b")))


@pytest.mark.parametrize("make,reason", PINNING_READERS.values(), ids=PINNING_READERS)
def test_readers_that_cannot_take_another_order(make, reason):
    spaces, a = outputs_of(between(reader=make()), "a")
    assert reason in spaces.pinned(a)


@pytest.mark.parametrize(
    "reader",
    [layers.Dense, layers.SeparableConv2D, layers.Conv2DTranspose, GroupedConv2D],
)
def test_readers_start_a_space(reader):
    arguments = (5,) if reader is layers.Dense else (5, 3)
    model = between(reader(*arguments, name="b"), reader=layers.Dense(4, name="c"))
    spaces, a, b = outputs_of(model, "a", "b")
    assert spaces.inputs(model.get_layer("b")) == (a,)
    assert spaces.inputs(model.get_layer("c")) == (b,)
    assert (spaces.size(b), spaces.pinned(b)) == (5, "")


def test_the_activation_of_a_convolution():
    spaces, a = outputs_of(between(activation="sigmoid"), "a")
    assert spaces.pinned(a) == ""
    spaces, a = outputs_of(between(activation="softmax"), "a")
    assert spaces.pinned(a) == "the activation of a may need its order"


def test_groups_pin_both_ends():
    model = between(
        GroupedConv2D(8, 3, groups=2, name="g"), layers.Conv2D(8, 1, name="mix")
    )
    spaces, a, g, mix = outputs_of(model, "a", "g", "mix")
    assert spaces.pinned(a) == spaces.pinned(g) == "g has filter groups"
    assert spaces.inputs(model.get_layer("g")) == (a,)
    assert spaces.pinned(mix) == ""


def test_weights_along_the_channels():
    model = between(
        layers.BatchNormalization(name="norm"),
        layers.PReLU(shared_axes=[1, 2], name="prelu"),
        layers.DepthwiseConv2D(3, name="depthwise"),
        layers.Conv2DTranspose(4, 3, name="transposed"),
    )
    spaces, a, t = outputs_of(model, "a", "transposed")
    weights = {layer.name: spaces.weights(layer) for layer in spaces.layers}
    assert list(weights) == ["a", "norm", "prelu", "depthwise", "transposed", "b"]
    statistics = ("gamma", "beta", "moving_mean", "moving_variance")
    assert weights["norm"] == {name: {-1: (a,)} for name in statistics}
    assert weights["prelu"] == {"alpha": {-1: (a,)}}
    assert weights["depthwise"] == {"kernel": {-2: (a,)}, "bias": {-1: (a,)}}
    assert weights["transposed"]["kernel"] == {-1: (a,), -2: (t,)}
    assert spaces.output(model.get_layer("norm")) is None
    assert spaces.inputs(model.get_layer("norm")) == (a,)


def test_what_is_not_tracked():
    model = between(layers.ReLU(name="relu"))
    spaces = channel_spaces(model)
    relu = model.get_layer("relu")
    assert spaces.inputs(relu) == ()
    assert spaces.output(relu) is None
    assert spaces.weights(relu) == {}


def test_flattened_channels_come_again_at_every_position():
    def join(a, b):
        x = layers.MaxPooling2D((3, 2))(layers.Concatenate()([a, b]))
        return layers.Reshape((1, 1, 66))(layers.Flatten()(x))

    model = branches(join, second=5)
    spaces, a, b = outputs_of(model, "a", "b")
    assert spaces.inputs(model.get_layer("c")) == (a, b) * 6
    assert spaces.pinned(a) == spaces.pinned(b) == ""


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
    spaces, a, b, c = outputs_of(model, "a", "b", "c")
    assert a == b
    assert spaces.pinned(a) == spaces.pinned(c) == ""
    assert spaces.inputs(model.get_layer("d")) == (a, c) * 6
    assert spaces.weights(model.get_layer("prelu")) == {"alpha": {-3: (a,)}}


def test_flatten_that_keeps_channels_together_pins():
    """Without data_format="channels_first" a channel's positions are neighbours."""
    inputs = keras.Input((3, 8, 7))
    x = layers.Conv2D(6, 3, name="a", data_format="channels_first")(inputs)
    x = layers.Flatten("channels_last", name="f")(x)
    spaces, a = outputs_of(keras.Model(inputs, layers.Dense(2)(x)), "a")
    assert spaces.pinned(a).startswith("f (Flatten)")
