"""Whole models as twins, and their weights back again."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_roots
from keras_roots.tf_keras_twin.conversion import from_tf_keras, to_tf_keras

SHAPE = (6, 6, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["root_nin", "root_resnet20"])
def test_networks_of_the_zoo(name, randomise, check_equal):
    model = randomise(keras_roots.create_model(name, root=4, input_shape=(8, 8, 3)))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("float32")
    check_equal(to_tf_keras(model), model, pixels)


def test_outputs_names_weights_and_settings(network, images, check_equal):
    network.get_layer("conv").trainable = False
    twin = to_tf_keras(network)
    check_equal(twin, network, images(SHAPE))
    assert twin.name == network.name
    assert [x.name for x in twin.layers] == [x.name for x in network.layers]
    for layer in network.layers:
        found = twin.get_layer(layer.name)
        assert found.trainable == layer.trainable
        for ours, theirs in zip(found.get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_everything_is_float32(randomise, images, check_equal):
    model = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(4, 3, dtype="mixed_bfloat16")]
    )
    twin = to_tf_keras(randomise(model))
    found = twin(images(SHAPE))
    exact = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(4, 3)])
    exact.set_weights(model.get_weights())
    assert found.dtype == tf.float32
    check_equal(twin, exact, images(SHAPE))


def test_weights_come_back(network, images, check_equal):
    import tf_keras

    twin = to_tf_keras(network)
    sgd = tf_keras.optimizers.SGD(0.01)
    twin.compile(sgd, "sparse_categorical_crossentropy", run_eagerly=True)
    twin.fit(images(SHAPE, 4), np.arange(4) % 3, verbose=0)
    before = network.get_weights()
    trained = from_tf_keras(twin, network)
    check_equal(twin, trained, images(SHAPE))
    for old, kept, new in zip(
        before, network.get_weights(), trained.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(kept, old)
        assert not np.array_equal(new, old)


def test_a_twin_of_another_model(network, randomise):
    other = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(8, 5, name="conv")])
    with pytest.raises(ValueError, match=r"layer 'conv', not \[\(5, 5, 3, 8\), \(8,\)"):
        from_tf_keras(to_tf_keras(network), other)
    with pytest.raises(ValueError, match="must be a tf_keras model.*Received"):
        from_tf_keras(network, network)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def test_models_without_a_twin():
    with pytest.raises(ValueError, match="must be a functional or Sequential"):
        to_tf_keras(Subclassed())
    with pytest.raises(ValueError, match="not built"):
        to_tf_keras(keras.Sequential([layers.Dense(1)]))


def test_a_layer_that_nested_models_share(randomise, images, check_equal):
    """It has two names; the twin knows one of them."""
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    sides = [keras.Input(SHAPE), keras.Input(SHAPE)]
    one, other = (
        keras.Model(side, shared(side), name=name)
        for side, name in zip(sides, ("one", "other"), strict=True)
    )
    inputs = keras.Input(SHAPE)
    model = randomise(keras.Model(inputs, other(one(inputs=inputs))))
    twin = to_tf_keras(model)
    check_equal(twin, model, images(SHAPE))
    back = from_tf_keras(twin, model)
    np.testing.assert_array_equal(
        np.asarray(back(images(SHAPE))), np.asarray(model(images(SHAPE)))
    )
