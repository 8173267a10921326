"""What layers of layers do, as functional models."""

import keras
import numpy as np
import pytest
from helpers import assert_same_outputs, normal_images
from keras import layers, ops

from keras_roots.graph.trace import trace


class Block(keras.layers.Layer):
    """A convolution, its normalisation and a weight of the layer's own."""

    def build(self, shape):
        self.conv = layers.Conv2D(6, 3)
        self.conv.build(shape)
        self.scale = self.add_weight(shape=(6,), initializer="ones", name="scale")

    def call(self, inputs):
        return ops.relu(self.conv(inputs))


def _own_call(layer, inputs):
    return layer.call(inputs)


def _spec(*sides, dtype="float32"):
    return keras.KerasTensor((None, *sides, 3), dtype=dtype)


def _block():
    block = Block(name="block")
    block(normal_images(2))
    return block


def test_a_trace_is_made_of_the_very_layers():
    block = _block()
    traced = trace(block, _own_call, [_spec(8, 8)])
    assert traced.name == "block" and block.conv in traced.layers
    assert_same_outputs(block, traced, normal_images(4))


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ([(8, 8)], (8, 8)),
        ([(8, 8), (8, 8)], (8, 8)),
        ([(8, 8), (4, 8)], (None, 8)),
        ([(None, 8), (9, 8)], (None, 8)),
    ],
)
def test_sides_that_differ_between_calls_are_unknown(sides, expected):
    traced = trace(_block(), _own_call, [_spec(*each) for each in sides])
    assert traced.input_shape == (None, *expected, 3)


def test_inputs_have_the_precision_that_the_layer_computes_in():
    keras.config.set_dtype_policy("mixed_bfloat16")
    block = _block()
    traced = trace(block, _own_call, [_spec(8, 8)])
    assert traced.inputs[0].dtype == "float32"
    assert traced.outputs[0].dtype == "bfloat16"
    images = normal_images(4)
    np.testing.assert_array_equal(*(np.asarray(m(images)) for m in (block, traced)))


def _eager(layer, inputs):
    import tensorflow as tf

    return layer.conv(tf.nn.relu(inputs))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda layer, x: layer.call(x) * layer.scale, "uses weights outside.*scale"),
        (_eager, "cannot be made into a functional model by its call"),
        (lambda layer, x: 3, "cannot be made into a functional model"),
        (lambda layer, x: layer.conv(x), "return something else than the layer"),
        (lambda layer, x: [layer.call(x)] * 2, "return something else"),
        (lambda layer, x: layer.call(x)[:, 1:], "return something else"),
    ],
    ids=["own weight", "not Keras", "no tensor", "no ReLU", "two outputs", "smaller"],
)
def test_what_cannot_be_traced_is_named(call, text):
    with pytest.raises(ValueError, match=f"composite layer 'block', a Block, .*{text}"):
        trace(_block(), call, [_spec(8, 8)])
