"""Multiply-adds and parameters, against counts by hand and from the literature."""

import math

import keras
import numpy as np
import pytest
from keras import layers
from keras.initializers import VarianceScaling

from keras_roots import profile
from keras_roots.layers.grouped_conv2d import GroupedConv2D


def sequential(*stack, shape):
    return keras.Sequential([keras.Input(shape), *stack])


# Layer, shape of its input, multiply-adds, parameters, groups. All by hand: weights
# times positions, and every bias once.
LAYERS = {
    "conv1d": (
        lambda: layers.Conv1D(4, 3, padding="same"),
        (10, 2),
        10 * 3 * 2 * 4 + 4,
        28,
        1,
    ),
    "conv2d": (lambda: layers.Conv2D(8, 3), (7, 6, 3), 5 * 4 * 27 * 8 + 8, 224, 1),
    "strides": (
        lambda: layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
        (7, 6, 3),
        4 * 3 * 27 * 8,
        216,
        1,
    ),
    "conv3d": (
        lambda: layers.Conv3D(2, (1, 2, 3)),
        (4, 5, 6, 3),
        4 * 4 * 4 * 18 * 2 + 2,
        38,
        1,
    ),
    "groups": (
        lambda: layers.Conv2D(8, 3, groups=4, padding="same"),
        (5, 5, 12),
        25 * 9 * 3 * 8 + 8,
        224,
        4,
    ),
    "GroupedConv2D": (
        lambda: GroupedConv2D(8, 3, groups=4, padding="same", use_bias=False),
        (5, 5, 12),
        25 * 9 * 3 * 8,
        216,
        4,
    ),
    "depthwise": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        (5, 5, 6),
        25 * 9 * 6 * 2 + 12,
        120,
        6,
    ),
    "depthwise1d": (
        lambda: layers.DepthwiseConv1D(3, strides=2),
        (9, 6),
        4 * 3 * 6 + 6,
        24,
        6,
    ),
    "separable": (
        lambda: layers.SeparableConv2D(5, 3, strides=2, padding="same"),
        (8, 8, 4),
        16 * (9 * 4 + 4 * 5) + 5,
        9 * 4 + 4 * 5 + 5,
        4,
    ),
    "separable1d": (
        lambda: layers.SeparableConv1D(5, 3, depth_multiplier=2),
        (6, 4),
        4 * (3 * 8 + 8 * 5) + 5,
        3 * 8 + 8 * 5 + 5,
        4,
    ),
    "transposed": (
        lambda: layers.Conv2DTranspose(5, 3, strides=2, padding="same"),
        (4, 4, 3),
        4 * 4 * 9 * 3 * 5 + 5,
        140,
        1,
    ),
    "transposed1d": (
        lambda: layers.Conv1DTranspose(5, 2, strides=2),
        (4, 3),
        4 * 2 * 3 * 5 + 5,
        35,
        1,
    ),
    "dense": (lambda: layers.Dense(5), (7,), 7 * 5 + 5, 40, 1),
    "dense on pixels": (
        lambda: layers.Dense(5, use_bias=False),
        (2, 3, 7),
        6 * 7 * 5,
        35,
        1,
    ),
    "in time": (
        lambda: layers.TimeDistributed(layers.Conv2D(2, 3)),
        (4, 5, 5, 3),
        4 * 9 * 27 * 2 + 2,
        56,
        1,
    ),
    "spectral": (
        lambda: layers.SpectralNormalization(layers.Conv2D(2, 3)),
        (5, 5, 3),
        9 * 27 * 2 + 2,
        56,
        1,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    make, shape, macs, params, groups = LAYERS[name]
    model = sequential(make(), shape=shape)
    found = profile(model)
    (layer,) = found.layers
    assert (found.macs, found.params) == (layer.macs, layer.params) == (macs, params)
    assert layer.groups == groups
    assert layer.output_shape == model.output_shape
    assert not found.uncounted


@pytest.mark.parametrize(
    ("make", "shape", "macs"),
    [
        (lambda: layers.Conv2D(8, 3), (3, 7, 6), 5 * 4 * 27 * 8 + 8),
        (lambda: layers.Conv2DTranspose(8, 3), (3, 7, 6), 7 * 6 * 27 * 8 + 8),
        (
            lambda: layers.TimeDistributed(layers.Conv2D(8, 3)),
            (2, 3, 7, 6),
            2 * 5 * 4 * 27 * 8 + 8,
        ),
    ],
)
def test_channels_first(make, shape, macs):
    keras.config.set_image_data_format("channels_first")
    assert profile(sequential(make(), shape=shape)).macs == macs


def test_table():
    found = profile(
        sequential(
            layers.Conv2D(8, 3, name="first", padding="same"),
            layers.BatchNormalization(),
            GroupedConv2D(200, 1, groups=2, name="second"),
            layers.Flatten(),
            layers.Dense(1000, name="last"),
            shape=(4, 4, 3),
        )
    )
    header, rule, *rows, second_rule, total = str(found).splitlines()
    assert header.split() == "layer type output shape groups MACs params".split()
    assert set(rule) == set(second_rule) == {"-"}
    assert [row.split() for row in rows] == [
        ["first", "Conv2D", "4x4x8", "1", "3,464", "224"],
        ["second", "GroupedConv2D", "4x4x200", "2", "13,000", "1,000"],
        ["last", "Dense", "1000", "1", "3,201,000", "3,201,000"],
    ]
    assert total.split() == ["total", "3,217,464", "3,202,224"]
    ends = {len(line) for line in (header, *rows, total)}
    assert ends == {len(rule)}  # flush right


def test_nested_and_shared():
    inner = sequential(layers.Conv2D(4, 3, name="c"), shape=(None, None, 3))
    inner.name = "inner"
    deeper = keras.Input((None, None, 3))
    middle = keras.Model(deeper, inner(deeper), name="middle")
    images = keras.Input((8, 8, 3))
    small = layers.AveragePooling2D(2)(images)
    dense = layers.Dense(3, name="shared")
    outputs = [
        dense(layers.GlobalMaxPooling2D()(x)) for x in (middle(images), middle(small))
    ]
    found = profile(keras.Model(images, layers.Add()(outputs)))
    conv = 27 * 4
    assert sorted((row.name, row.macs) for row in found.layers) == [
        ("middle/inner/c", 4 * conv + 4),
        ("middle/inner/c", 36 * conv + 4),
        ("shared", 15),
        ("shared", 15),
    ]
    assert sorted(row.params for row in found.layers) == [0, 0, 15, conv + 4]
    assert found.params == conv + 4 + 15
    assert found.macs == 40 * conv + 8 + 30


def test_several_inputs_and_operations():
    first, second = keras.Input((None, 4)), keras.Input((6,), name="b")
    x = keras.ops.concatenate([keras.ops.mean(layers.Dense(5)(first), 1), second], -1)
    model = keras.Model({"b": second, "a": first}, layers.Dense(2)(x * 2.0))
    shapes = {4: (7, 4), 6: (6,)}
    found = profile(model, [shapes[tensor.shape[-1]] for tensor in model.inputs])
    assert found.macs == (7 * 20 + 5) + (22 + 2)


def test_unknown_sides():
    model = sequential(layers.Conv2D(4, 3, name="seen"), shape=(None, None, 3))
    with pytest.raises(ValueError, match=r"'seen' are unknown.*Pass `input_"):
        profile(model)
    assert profile(model, (5, 6, 3)).macs == profile(model, [5, 6, 3]).macs == 1300
    assert profile(model, [(5, 6, 3)]).macs == 3 * 4 * 108 + 4
    assert profile(model, np.array([5, 6, 3])).macs == 1300


@pytest.mark.parametrize(
    "shape",
    [
        (5, 6),
        (5, 6, 4),
        (1, 5, 6, 3),
        [(5, 6, 3), (5, 6, 3)],
        (8, None, 3),
        (),
        12,
        [5, (6, 3)],
    ],
)
def test_wrong_input_shape(shape):
    model = sequential(layers.Conv2D(4, 3), shape=(None, None, 3))
    with pytest.raises(ValueError, match="`input_shape`"):
        profile(model, shape)


def test_input_shape_cannot_contradict_the_model():
    model = sequential(layers.Flatten(), layers.Dense(2), shape=(4, 4, 3))
    assert profile(model, (4, 4, 3)).macs == 98
    with pytest.raises(ValueError, match=r"\(4, 4, 3\).*input_shape=\(8, 8, 3\)"):
        profile(model, (8, 8, 3))


def test_sequential_that_is_not_built():
    model = keras.Sequential([layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="not built. Pass `input_shape`"):
        profile(model)
    assert profile(model, (5, 5, 3)).macs == 9 * 108 + 4 + 74
    assert not model.built and not model.weights


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2)


def test_subclassed_models():
    with pytest.raises(ValueError, match="functional or Sequential.*subclassed"):
        profile(Subclassed(), (4,))
    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match="functional or Sequential.*subclassed"):
        profile(keras.Model(inputs, Subclassed()(inputs)))


def test_other_weights_are_named():
    found = profile(
        sequential(
            layers.Embedding(10, 4, name="words"),
            layers.LayerNormalization(),
            layers.LSTM(3, name="memory"),
            layers.Dropout(0.5),
            layers.Dense(2),
            shape=(6,),
        )
    )
    assert found.uncounted == ("words", "memory")
    assert str(found).endswith("weights not counted: words, memory")
    assert found.params == 8


def test_the_model_stays_as_it_is():
    inner = sequential(layers.Conv2D(4, 3), shape=(None, None, 3))
    images = keras.Input((None, None, 3))
    x = layers.BatchNormalization()(inner(images))
    model = keras.Model(images, layers.Dense(2)(layers.GlobalMaxPooling2D()(x)))
    before = model.get_config()
    values = [weight.numpy() for weight in model.weights]
    profile(model, (9, 9, 3))
    for layer in (*model.layers, *inner.layers):
        assert layer.output is not None  # raises once a layer has two nodes
    assert model.get_config() == before
    for weight, value in zip(model.weights, values, strict=True):
        np.testing.assert_array_equal(weight, value)


# Networks of keras.applications: multiply-adds of the weights and parameters without
# BatchNorm, from their papers and torchvision's tables; rounded where those are.
@pytest.mark.parametrize(
    ("name", "macs", "params", "tolerance"),
    [
        ("VGG16", 15_470_264_320, 138_357_544, 1e-5),
        ("MobileNet", 568_740_352, 4_210_088, 1e-5),
        ("MobileNetV2", 300.8e6, 3_470_870, 1e-3),
        ("EfficientNetB0", 0.386e9, 5.29e6, 1e-2),
    ],
)
def test_keras_applications(name, macs, params, tolerance, monkeypatch):
    monkeypatch.setattr(
        VarianceScaling,
        "__call__",
        lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype),
    )
    model = getattr(keras.applications, name)(weights=None)
    found = profile(model)
    assert found.macs == pytest.approx(macs, rel=tolerance)
    assert found.params == pytest.approx(params, rel=tolerance)
    norms = [x for x in model.layers if isinstance(x, layers.BatchNormalization)]
    others = sum(math.prod(w.shape) for norm in norms for w in norm.weights)
    assert found.params == model.count_params() - others - sum(
        layer.count_params()
        for layer in model.layers
        if isinstance(layer, layers.Normalization)
    )
