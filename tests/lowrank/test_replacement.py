"""The two layers that take the place of one: their settings, names and classes."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import decompose
from keras_roots.layers.grouped_conv2d import GroupedConv2D


def _outputs(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def _convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]


def test_settings_of_the_layer(one_layer, conv):
    layer = conv(
        8,
        3,
        groups=2,
        name="conv",
        padding="same",
        activation="relu",
        lowering="split",
        dtype="mixed_bfloat16",
        kernel_regularizer=keras.regularizers.L2(0.1),
        bias_regularizer=keras.regularizers.L1(0.2),
        activity_regularizer=keras.regularizers.L2(0.3),
        kernel_constraint="max_norm",
        kernel_initializer="he_normal",
    )
    layer.trainable = False
    first, second = _convolutions(decompose(one_layer(layer), 0.5, cost=None))
    for part in (first, second):
        assert isinstance(part, GroupedConv2D)
        assert (part.groups, part.lowering, part.padding) == (2, "split", "same")
        assert part.dtype_policy.name == "mixed_bfloat16"
        assert float(part.kernel_regularizer.l2) == pytest.approx(0.1)
        assert part.kernel_constraint is None
        assert isinstance(part.kernel_initializer, keras.initializers.HeNormal)
        assert not part.trainable
    assert first.bias_regularizer is None and first.activity_regularizer is None
    assert first.activation is keras.activations.linear
    assert second.activation is keras.activations.relu
    assert float(second.bias_regularizer.l1) == pytest.approx(0.2)
    assert float(second.activity_regularizer.l2) == pytest.approx(0.3)


def test_stock_groups_become_fast_ones(one_layer, images):
    model = one_layer(layers.Conv2D(8, 3, groups=2, name="conv"))
    small = decompose(model, ranks={"conv": 8}, cost=None)
    assert all(isinstance(layer, GroupedConv2D) for layer in _convolutions(small))
    np.testing.assert_allclose(
        _outputs(small, images), _outputs(model, images), atol=1e-5
    )


def test_a_layer_can_be_decomposed_again(one_layer, conv, images):
    model = one_layer(conv(8, 3, name="conv"))
    once = decompose(model, ranks={"conv": 6}, cost=None)
    twice = decompose(once, ranks={"conv": 6, "conv_basis": 6}, cost=None)
    assert [layer.name for layer in _convolutions(twice)] == [
        "conv_basis_basis",
        "conv_basis",
        "conv_basis_2",
        "conv",
    ]
    np.testing.assert_allclose(
        _outputs(twice, images), _outputs(once, images), atol=1e-5
    )


def test_channels_first(conv):
    layer = conv(8, 3, data_format="channels_first", name="conv")
    model = keras.Sequential([keras.Input((6, 12, 10)), layer])
    small = decompose(model, ranks={"conv": 8}, cost=None)
    assert [part.data_format for part in _convolutions(small)] == ["channels_first"] * 2
    assert small.output_shape == model.output_shape
    images = np.random.default_rng(0).normal(size=(2, 6, 12, 10)).astype("float32")
    np.testing.assert_allclose(
        _outputs(small, images), _outputs(model, images), atol=1e-5
    )


def _with_lora(layer, shape):
    """A layer that is built and has LoRA that matters."""
    layer.build((None, *shape))
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.random.default_rng(3).normal(size=(2, layer.filters)))
    return layer


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("lora", [True, False])
@pytest.mark.parametrize("activation", [layers.PReLU, layers.LeakyReLU, None])
def test_activations_that_are_layers_and_lora(use_bias, groups, lora, activation, conv):
    layer = conv(
        8,
        3,
        groups=groups,
        name="conv",
        use_bias=use_bias,
        activation=activation and activation(),
    )
    if lora:
        _with_lora(layer, (12, 12, 6))
    model = keras.Sequential([keras.Input((12, 12, 6)), layer])
    images = np.random.default_rng(2).normal(size=(2, 12, 12, 6)).astype("float32")
    model(images)  # builds the activation
    if activation is layers.PReLU:
        alpha = layer.activation.alpha
        alpha.assign(np.random.default_rng(1).normal(size=alpha.shape))
    expected = _outputs(model, images)
    for how in ({"method": "pca"}, {"method": "responses", "images": images}):
        small = decompose(model, ranks={"conv": 8}, cost=None, **how)
        np.testing.assert_allclose(_outputs(small, images), expected, 1e-3, 1e-4)
