"""Graphs of twins: nested models, shared layers, structures of inputs."""

import keras
import pytest
from keras import layers

from keras_roots.tf_keras_twin.conversion import from_tf_keras, to_tf_keras

SHAPE = (6, 6, 3)


def test_sequential_and_batch_size(randomise, images, check_equal):
    model = keras.Sequential(
        [keras.Input(SHAPE, batch_size=2), layers.Conv2D(4, 3), layers.Flatten()]
    )
    twin = to_tf_keras(randomise(model))
    assert twin.input_shape == (2, *SHAPE)
    check_equal(twin, model, images(SHAPE))


def test_nested_shared_and_structured(randomise, images, check_equal):
    """A model in a model twice, a shared layer, a dictionary in and a list out."""
    inner = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(3, 3, padding="same", name="conv")],
        name="inner",
    )
    inputs = {"one": keras.Input(SHAPE, name="one"), "two": keras.Input(SHAPE)}
    shared = layers.Dense(3, name="shared")
    x = layers.Add(name="sum")([inner(inputs["one"]), inner(inputs["two"])])
    model = randomise(keras.Model(inputs, [shared(x), shared(shared(x))]))
    twin = to_tf_keras(model)
    given = {"one": images(SHAPE), "two": images(SHAPE, seed=1)}
    check_equal(twin, model, given)
    assert len(twin.weights) == len(model.weights) == 4
    assert twin.get_layer("inner/conv").count_params() == 84
    twin.set_weights([w + 1 for w in twin.get_weights()])
    check_equal(twin, from_tf_keras(twin, model), given, atol=1e-3)


def test_arguments_of_calls_of_nested_models():
    inputs = keras.Input(SHAPE)
    inner = keras.Sequential([layers.BatchNormalization()], name="inner")
    model = keras.Model(inputs, inner(inputs, training=False))
    with pytest.raises(ValueError, match="nested model 'inner' called with {'training"):
        to_tf_keras(model)
