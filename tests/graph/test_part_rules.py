import keras
import numpy as np
import pytest
from helpers import assert_same_outputs, assign_random
from keras import layers

from keras_roots.graph.part_rules import RULES
from keras_roots.graph.parts import put_together, take_apart, why_whole
from keras_roots.graph.walk import operations
from keras_roots.layers import FixedZeros
from keras_roots.profiling import profile


def cube(x):
    """A function of single numbers that is not among those known."""
    return x * x * x


# Shape of an input, class, settings, and what its parts are called.
SEPARABLE = ["conv_depthwise", "conv"]
ROW = ["conv_2d", "conv", "conv_1d"]
BLOCKS = ["conv", "conv_blocks", "conv_order", "conv_map"]
CASES = {
    "separable": ((9, 8, 3), "SeparableConv2D", {"padding": "same"}, SEPARABLE),
    "separable, strides": (
        (9, 8, 3),
        "SeparableConv2D",
        {"strides": 2, "depth_multiplier": 2, "activation": "relu"},
        SEPARABLE,
    ),
    "separable, dilated": (
        (9, 8, 3),
        "SeparableConv2D",
        {"dilation_rate": 2, "activation": layers.PReLU(), "use_bias": False},
        SEPARABLE,
    ),
    "separable, any function": (
        (9, 8, 3),
        "SeparableConv2D",
        {"activation": cube, "pointwise_regularizer": "l2"},
        SEPARABLE,
    ),
    "separable, channels first": (
        (3, 9, 8),
        "SeparableConv2D",
        {"data_format": "channels_first"},
        SEPARABLE,
    ),
    "separable, of any size": ((None, None, 3), "SeparableConv2D", {}, SEPARABLE),
    "1D": ((13, 6), "Conv1D", {"padding": "same", "activation": "softmax"}, ROW),
    "1D, strides": ((13, 6), "Conv1D", {"strides": 2, "use_bias": False}, ROW),
    "1D, groups": ((13, 6), "Conv1D", {"groups": 2, "activation": "relu"}, ROW),
    "1D, dilated": ((13, 6), "Conv1D", {"dilation_rate": 2}, ROW),
    "1D, causal": (
        (13, 6),
        "Conv1D",
        {"padding": "causal", "dilation_rate": 3},
        ["conv_padding", *ROW],
    ),
    "1D, causal, strides, of any length": (
        (None, 6),
        "Conv1D",
        {"padding": "causal", "strides": 2},
        ["conv_padding", *ROW],
    ),
    "1D, causal, channels first": (
        (6, 13),
        "Conv1D",
        {"padding": "causal", "data_format": "channels_first"},
        ["conv_padding", *ROW],
    ),
    "1D, channels first, of any length": (
        (6, None),
        "Conv1D",
        {"data_format": "channels_first"},
        ROW,
    ),
    "1D, separable": (
        (13, 6),
        "SeparableConv1D",
        {"padding": "same", "strides": 2, "depth_multiplier": 2},
        ["conv_depthwise", *ROW],
    ),
    "1D, separable, dilated": (
        (None, 6),
        "SeparableConv1D",
        {"dilation_rate": 2, "use_bias": False, "activation": "gelu"},
        ["conv_depthwise", *ROW],
    ),
    "1D, separable, channels first": (
        (6, 13),
        "SeparableConv1D",
        {"data_format": "channels_first"},
        ["conv_depthwise", *ROW],
    ),
    "transposed": (
        (5, 4, 6),
        "Conv2DTranspose",
        {"kernel_size": (2, 3), "strides": (2, 3), "activation": "relu"},
        BLOCKS,
    ),
    "transposed, same": (
        (5, 4, 6),
        "Conv2DTranspose",
        {"kernel_size": 2, "strides": 2, "padding": "same", "use_bias": False},
        BLOCKS,
    ),
    "transposed, channels first": (
        (6, 5, 4),
        "Conv2DTranspose",
        {"kernel_size": (2, 3), "strides": (2, 3), "data_format": "channels_first"},
        BLOCKS,
    ),
}


def _network(shape, kind, settings):
    layer = getattr(layers, kind)(
        **{"filters": 4, "kernel_size": 3, "name": "conv", **settings}
    )
    inputs = keras.Input(shape)
    return assign_random(keras.Model(inputs, layer(inputs)))


def _inputs(shape):
    sides = [11 if side is None else side for side in shape]
    return np.random.default_rng(0).normal(size=(3, *sides)).astype("float32")


@pytest.mark.parametrize(
    ("shape", "kind", "settings", "names"), CASES.values(), ids=CASES
)
def test_parts_compute_what_the_layer_does(shape, kind, settings, names, tmp_path):
    model = _network(shape, kind, settings)
    parts = take_apart(model)
    inputs = _inputs(shape)
    assert [name for name, _ in operations(parts)] == names
    assert_same_outputs(model, parts, inputs)
    parts.save(tmp_path / "parts.keras")
    if settings.get("activation") is not cube:
        loaded = keras.models.load_model(tmp_path / "parts.keras")
        assert_same_outputs(model, loaded, inputs)
    sides = inputs.shape[1:]
    counted, found = (profile(each, sides) for each in (model, parts))
    if kind != "Conv2DTranspose":  # it has a bias for every place of its kernel
        assert (found.macs, found.params) == (counted.macs, counted.params)


@pytest.mark.parametrize(
    ("shape", "kind", "settings", "names"), CASES.values(), ids=CASES
)
def test_parts_are_the_layer_again(shape, kind, settings, names):
    model = _network(shape, kind, settings)
    whole = put_together(take_apart(model), model)
    assert_same_outputs(model, whole, _inputs(shape))
    (_, before), (_, after) = (*operations(model), *operations(whole))
    assert type(after) is type(before)
    for key, value in before.get_config().items():
        if key != "activation":
            assert after.get_config()[key] == value


def test_every_kind_has_a_case():
    assert {kind.__name__ for kind in RULES} == {case[1] for case in CASES.values()}


WHOLE = {
    "overlapping": ((5, 4, 6), "Conv2DTranspose", {"strides": 2}, "not as large as"),
    "padded": (
        (5, 4, 6),
        "Conv2DTranspose",
        {"strides": 3, "output_padding": 1},
        "padded or dilated",
    ),
    "of any size": (
        (None, 4, 6),
        "Conv2DTranspose",
        {"strides": 3},
        "height and width of its input are not fixed",
    ),
    "along channels": (
        (5, 4, 6),
        "Conv2DTranspose",
        {"strides": 3, "activation": "softmax"},
        "its activation, softmax, may depend on the shape",
    ),
    "any function": ((13, 6), "Conv1D", {"activation": cube}, "its activation, cube"),
    "a layer": (
        (13, 6),
        "SeparableConv1D",
        {"activation": layers.PReLU()},
        "its activation, PReLU",
    ),
    "a constraint": (
        (13, 6),
        "Conv1D",
        {"kernel_constraint": keras.constraints.NonNeg()},
        "its kernel has a constraint",
    ),
    "a constraint on the 1x1": (
        (13, 6),
        "SeparableConv1D",
        {"pointwise_constraint": keras.constraints.NonNeg()},
        "its kernel has a constraint",
    ),
}


@pytest.mark.parametrize(
    ("shape", "kind", "settings", "reason"), WHOLE.values(), ids=WHOLE
)
def test_what_stays_whole_says_why(shape, kind, settings, reason):
    model = _network(shape, kind, settings)
    assert take_apart(model) is model
    assert reason in why_whole(model.layers[1], model.inputs[0])


class Own(layers.SeparableConv2D):
    """A layer that computes something else."""


def test_subclasses_stay_whole():
    model = keras.Sequential([keras.Input((8, 8, 3)), Own(4, 3, name="own")])
    assert take_apart(model) is model
    assert "subclass of SeparableConv2D" in why_whole(model.layers[0])
    assert why_whole(layers.Dense(3)) == why_whole(layers.Conv2D(3, 3)) == ""


def test_settings_of_weights_stay_with_them():
    mask = np.ones((1, 1, 3, 4))
    mask[..., 1:] = 0
    model = _network(
        (8, 8, 3),
        "SeparableConv2D",
        {
            "depthwise_regularizer": keras.regularizers.L1(0.1),
            "pointwise_regularizer": keras.regularizers.L2(0.2),
            "pointwise_constraint": FixedZeros(mask),
            "activity_regularizer": keras.regularizers.L2(0.3),
            "trainable": False,
            "dtype": "mixed_bfloat16",
        },
    )
    parts = take_apart(model)
    depthwise, pointwise = parts.layers[1:]
    assert float(depthwise.depthwise_regularizer.l1) == pytest.approx(0.1)
    assert float(pointwise.kernel_regularizer.l2) == pytest.approx(0.2)
    assert float(pointwise.activity_regularizer.l2) == pytest.approx(0.3)
    np.testing.assert_array_equal(pointwise.kernel_constraint.mask, mask)
    assert not parts.trainable_weights
    assert {layer.compute_dtype for layer in parts.layers[1:]} == {"bfloat16"}
    again = put_together(parts, model).layers[1]
    assert again.get_config() == model.layers[1].get_config()


def test_lora_is_merged():
    model = _network((13, 6), "Conv1D", {})
    layer = model.layers[1]
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    parts = take_apart(model)
    assert_same_outputs(model, parts, _inputs((13, 6)))
    assert_same_outputs(model, put_together(parts, model), _inputs((13, 6)))
