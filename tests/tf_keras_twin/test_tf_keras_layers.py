"""Layers, regularizers and constraints of tf_keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_roots
from keras_roots.layers import GroupedConv2D
from keras_roots.regularizers import ForceRegularizer
from keras_roots.sparsity import prune
from keras_roots.tf_keras_twin.conversion import from_tf_keras, to_tf_keras
from keras_roots.tf_keras_twin.requirements import require_tf_keras

SHAPE = (6, 6, 3)


@pytest.fixture
def tf_keras_layers():
    """The module, imported beside Keras 3."""
    require_tf_keras()
    from keras_roots.tf_keras_twin import tf_keras_layers

    return tf_keras_layers


def test_regularizers(randomise):
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 3, kernel_regularizer="l2", bias_regularizer="l1"),
            layers.Conv2D(
                4, 3, groups=2, kernel_regularizer=ForceRegularizer(0.1, groups=2)
            ),
        ]
    )
    twin = to_tf_keras(randomise(model))
    expected = sum(float(loss) for loss in model.losses)
    assert expected > 0.05
    np.testing.assert_allclose(sum(map(float, twin.losses)), expected, rtol=1e-5)


def test_constraints_hold_in_training(network, images):
    """Weights that keras_roots pruned stay at zero."""
    import tf_keras

    sparse = prune(network, 0.5, layers=["conv", "grouped"])
    twin = to_tf_keras(sparse)
    sgd = tf_keras.optimizers.SGD(0.1)
    twin.compile(sgd, "sparse_categorical_crossentropy", run_eagerly=True)
    twin.train_on_batch(images(SHAPE), np.array([0, 1]))
    trained = from_tf_keras(twin, sparse)
    for name in ("conv", "grouped"):
        before = sparse.get_layer(name).get_weights()[0]
        after = trained.get_layer(name).get_weights()[0]
        assert (before == 0).mean() == 0.5
        np.testing.assert_array_equal(after == 0, before == 0)
        assert not np.allclose(after, before)


@pytest.mark.parametrize("lowering", ["auto", "split"])
def test_gradient_of_groups(lowering, randomise, images):
    """As of Keras's own layer, which XLA compiles."""
    arguments = {"strides": 2, "padding": "same", "activation": "relu"}
    stock = keras.Sequential(
        [keras.Input(SHAPE[:2] + (8,)), layers.Conv2D(12, 3, groups=4, **arguments)]
    )
    ours = keras.Sequential(
        [
            keras.Input(SHAPE[:2] + (8,)),
            GroupedConv2D(12, 3, groups=4, lowering=lowering, **arguments),
        ]
    )
    ours.set_weights(randomise(stock).get_weights())
    twin = to_tf_keras(ours)
    assert twin.layers[-1].lowering == lowering
    inputs = tf.constant(images(SHAPE[:2] + (8,)))
    results = []
    for model in (stock, twin):

        @tf.function(autograph=False)
        def gradients(x, model=model):
            variables = [getattr(v, "_value", v) for v in model.trainable_variables]
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(model(x) ** 2)
            return tape.gradient(loss, [x, *variables])

        results.append(gradients(inputs))
        assert [x.shape for x in results[-1][1:]] == [(3, 3, 2, 12), (12,)]
    for found, expected in zip(results[1], results[0], strict=True):
        assert np.ptp(expected) > 1
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("offset", [None, 0.5, [0.1, -0.2, 0.3]])
def test_channels_are_scaled(offset, images, tf_keras_layers):
    scale = [1.0, -2.0, 0.5]
    layer = tf_keras_layers.ChannelScale(scale, offset)
    expected = images(SHAPE) * scale + (0 if offset is None else offset)
    np.testing.assert_allclose(layer(images(SHAPE)), expected, atol=1e-6)
    again = tf_keras_layers.ChannelScale.from_config(layer.get_config())
    np.testing.assert_array_equal(again(images(SHAPE)), layer(images(SHAPE)))


def test_layers_of_keras_3_come_back_from_their_configuration(images, tf_keras_layers):
    inner = keras_roots.layers.LocalResponseNormalization(3, 0.5)
    layer = tf_keras_layers.WeightlessLayer(inner, name="it")
    again = tf_keras_layers.WeightlessLayer.from_config(layer.get_config())
    assert again.name == "it"
    found = np.asarray(again(images(SHAPE)))
    np.testing.assert_array_equal(found, np.asarray(inner(images(SHAPE))))
