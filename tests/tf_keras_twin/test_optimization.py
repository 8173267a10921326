"""Pruning and clustering of twins, and what of it comes back."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import sparsity
from keras_roots.tf_keras_twin.conversion import from_tf_keras, to_tf_keras
from keras_roots.tf_keras_twin.optimization import (
    clusterable,
    prunable,
    pruning_callback,
    strip,
)

SHAPE = (6, 6, 3)
KERNELS = ("conv", "grouped", "head")


def kernel(model, name):
    return model.get_layer(name).get_weights()[0]


def fit(model, images, callbacks=(), batch_size=2):
    import tf_keras

    sgd = tf_keras.optimizers.SGD(0.05)
    model.compile(sgd, "sparse_categorical_crossentropy")
    labels = np.arange(6) % 3
    model.fit(images(SHAPE, 6), labels, batch_size, verbose=0, callbacks=callbacks)


def outputs(model, images):
    return np.asarray(model(images(SHAPE), training=False))


def test_pruning(network, images):
    before = outputs(network, images)
    sparse = prunable(network, 0.75, end_step=2, layers=["conv", "grouped"])
    np.testing.assert_allclose(outputs(sparse, images), before, atol=1e-5)
    fit(sparse, images, [pruning_callback()])
    back = from_tf_keras(sparse, network)
    assert [(kernel(back, name) == 0).mean() for name in KERNELS] == [0.75, 0.75, 0]
    assert not np.array_equal(kernel(back, "head"), kernel(network, "head"))
    plain = strip(sparse)
    assert [x.name for x in plain.layers] == [x.name for x in network.layers]
    for twin in (sparse, plain):
        np.testing.assert_allclose(
            outputs(twin, images), outputs(back, images), atol=1e-5
        )


@pytest.mark.parametrize(
    ("frequency", "start", "steps"),
    [(5, 10, (10, 15, 20, 25, 30)), (8, 14, (14, 22, 30)), (99, 10, (10, 30))],
)
def test_schedule(frequency, start, steps, network):
    """Zhu and Gupta (2017), equation 1; the end is always reached."""
    sparse = prunable(
        network,
        0.8,
        30,
        10,
        layers=["head"],
        initial_sparsity=0.2,
        frequency=frequency,
    )
    schedule = sparse.get_layer("prune_low_magnitude_head").pruning_schedule
    found = {step: schedule(step) for step in range(40)}
    assert steps == tuple(step for step, (chosen, _) in found.items() if chosen)
    for step in steps:
        expected = 0.8 + (0.2 - 0.8) * (1 - (step - start) / (30 - start)) ** 3
        np.testing.assert_allclose(found[step][1], expected, rtol=1e-5)


def test_clustering(network, images):
    clustered = clusterable(network, 4, layers=["conv", "grouped"])
    fit(clustered, images)
    back = from_tf_keras(clustered, network)
    values = [np.unique(kernel(back, name)).size for name in KERNELS]
    assert values == [4, 4, kernel(network, "head").size]
    for twin in (clustered, strip(clustered)):
        np.testing.assert_allclose(
            outputs(twin, images), outputs(back, images), atol=1e-5
        )


def test_clusters_start_near_the_weights(network):
    """With as many clusters as distinct weights nothing changes."""
    few = np.array([-1.0, -0.5, 0.25, 1.0], "float32")
    layer = network.get_layer("grouped")
    exact = np.random.default_rng(0).choice(few, layer.kernel.shape)
    layer.set_weights([exact])
    back = from_tf_keras(clusterable(network, 4, layers=["grouped"]), network)
    np.testing.assert_allclose(kernel(back, "grouped"), exact, atol=1e-6)


@pytest.mark.slow
def test_zeros_survive_clustering(network, images):
    sparse = sparsity.prune(network, 0.5, layers=["grouped"])
    clustered = clusterable(sparse, 4, layers=["grouped"], preserve_zeros=True)
    fit(clustered, images)
    found = kernel(from_tf_keras(clustered, sparse), "grouped")
    assert np.unique(found).size <= 4
    assert (found[kernel(sparse, "grouped") == 0] == 0).all()


def test_frozen_and_small_layers_are_left_alone(network):
    network.get_layer("conv").trainable = False
    for model in (prunable(network, 0.5, end_step=1), clusterable(network, 30)):
        names = [layer.name for layer in model.layers]
        assert "conv" in names
        assert any(name.endswith("_grouped") for name in names)
    assert "head" in names  # 24 weights


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: prunable(m, 1.0, 10), "`sparsity`.*sparsity=1.0"),
        (
            lambda m: prunable(m, 0.5, 10, 10),
            "`end_step` must be an integer, 11 or more.*=10",
        ),
        (lambda m: prunable(m, 0.5, 10.5), "integer.*end_step=10.5"),
        (lambda m: prunable(m, 0.5, float("inf")), "integer.*end_step=inf"),
        (lambda m: prunable(m, 0.5, None), "integer.*end_step=None"),
        (lambda m: prunable(m, 0.5, 10, initial_sparsity=-1), "initial_sparsity=-1"),
        (lambda m: prunable(m, 0.5, 10, frequency=0), "frequency=0"),
        (lambda m: prunable(m, 0.5, 10, layers=["bn"]), "conv, grouped, head.*bn"),
        (lambda m: prunable(to_tf_keras(m), 0.5, 10), "functional or Sequential"),
        (lambda m: clusterable(m, 1), "clusters=1"),
        (lambda m: clusterable(m, 2, preserve_zeros=True), "3 or more.*clusters=2"),
        (lambda m: clusterable(m, 999), "no convolution .* more than 999 weights"),
    ],
)
def test_arguments(call, message, network):
    with pytest.raises(ValueError, match=message):
        call(network)


def test_depthwise_is_left_alone():
    model = keras.Sequential([keras.Input(SHAPE), layers.DepthwiseConv2D(3)])
    with pytest.raises(ValueError, match="no convolution or dense layers"):
        prunable(model, 0.5, end_step=1)


@pytest.mark.parametrize(
    ("layer", "which"),
    [
        (layers.SeparableConv2D(6, 3, name="it"), 1),
        (layers.Conv2DTranspose(6, 3, name="it"), 0),
    ],
)
def test_convolutions_of_other_kinds(layer, which, randomise, images):
    """Of a separable one it is the pointwise kernel."""
    layer = type(layer).from_config(layer.get_config())
    model = randomise(keras.Sequential([keras.Input(SHAPE), layer]))
    sparse = prunable(model, 0.5, end_step=2, frequency=1)
    sparse.compile("sgd", "mse")
    targets = np.zeros((4, *model.output_shape[1:]))
    sparse.fit(images(SHAPE, 4), targets, 1, verbose=0, callbacks=[pruning_callback()])
    kernel = from_tf_keras(sparse, model).get_layer("it").get_weights()[which]
    assert (kernel == 0).mean() == pytest.approx(0.5, abs=0.02)
    clustered = from_tf_keras(strip(clusterable(model, 4)), model)
    kernel = clustered.get_layer("it").get_weights()[which]
    assert len(np.unique(kernel)) <= 4
