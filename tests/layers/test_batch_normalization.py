import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_roots.layers.batch_normalization import BatchNormalization


def _images(dtype="float32", shape=(6, 5, 4, 8)):
    images = np.random.default_rng(0).normal(3, 2, shape)
    return tf.constant(images, dtype)


def _pair(shape=(None, 5, 4, 8), **arguments):
    """Our layer and Keras's with the same weights, none of them at its start."""
    random = np.random.default_rng(1)
    pair = [
        kind(momentum=0.7, **arguments)
        for kind in (BatchNormalization, keras.layers.BatchNormalization)
    ]
    for layer in pair:
        layer.build(shape)
    weights = [random.uniform(0.5, 2, w.shape) for w in pair[0].get_weights()]
    for layer in pair:
        layer.set_weights(weights)
    return pair


def _train(layer, images):
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, "float32") ** 3)
    return outputs, tape.gradient(loss, [images, *layer.trainable_variables])


@pytest.mark.parametrize("arguments", [{}, {"scale": False, "center": False}])
@pytest.mark.parametrize("in_graph", [False, True])
def test_training_as_numpy_and_keras(arguments, in_graph):
    ours, stock = _pair(epsilon=1e-3, **arguments)
    images = _images()
    before = [w.numpy() for w in (ours.moving_mean, ours.moving_variance)]
    run = tf.function(_train) if in_graph else _train
    outputs, gradients = run(ours, images)
    mean, variance = images.numpy().mean((0, 1, 2)), images.numpy().var((0, 1, 2))
    want = (images - mean) / np.sqrt(variance + 1e-3)
    if not arguments:
        want = want * ours.gamma.numpy() + ours.beta.numpy()
    np.testing.assert_allclose(outputs, want, atol=1e-4)
    for moving, old, new in zip(
        (ours.moving_mean, ours.moving_variance), before, (mean, variance), strict=True
    ):
        np.testing.assert_allclose(moving.numpy(), 0.7 * old + 0.3 * new, rtol=1e-5)
    for one, other in zip(gradients, _train(stock, images)[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours(images), stock(images), atol=1e-5)


def test_training_is_one_operation():
    ours, stock = _pair()
    counts = []
    for layer in (ours, stock):
        graph = tf.function(lambda x, layer=layer: layer(x, training=True))
        operations = graph.get_concrete_function(_images()).graph.get_operations()
        counts.append(sum(op.type == "FusedBatchNormV3" for op in operations))
    assert counts == [1, 0]


def test_bfloat16_keeps_its_statistics_in_float32():
    ours, _ = _pair(dtype="mixed_bfloat16")
    images = _images("bfloat16", (64, 8, 8, 8))
    outputs, gradients = _train(ours, images)
    assert outputs.dtype == "bfloat16"
    assert all(np.isfinite(np.asarray(g, "float32")).all() for g in gradients)
    normal = np.asarray(outputs, "float32") - ours.beta.numpy()
    normal /= ours.gamma.numpy()
    np.testing.assert_allclose(normal.mean((0, 1, 2)), 0, atol=0.01)
    np.testing.assert_allclose(normal.std((0, 1, 2)), 1, atol=0.01)
    assert ours.moving_mean.dtype == "float32"


@pytest.mark.parametrize(
    "shape,arguments",
    [
        ((6, 8), {}),
        ((2, 3, 4, 5, 8), {}),
        ((6, 8, 5, 4), {"axis": 1}),
        ((6, 5, 4, 8), {"synchronized": True}),
        ((6, 5, 4, 8), {"dtype": "float64"}),
    ],
)
def test_everything_else_is_as_keras_computes_it(shape, arguments):
    ours, stock = _pair((None, *shape[1:]), **arguments)
    images = _images(arguments.get("dtype", "float32"), shape)
    for one, other in zip(
        [ours(images, training=True), ours.moving_variance],
        [stock(images, training=True), stock.moving_variance],
        strict=True,
    ):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_a_frozen_layer_infers():
    ours, _ = _pair()
    ours.trainable = False
    moving = ours.moving_mean.numpy()
    np.testing.assert_array_equal(ours(_images(), training=True), ours(_images()))
    np.testing.assert_array_equal(ours.moving_mean.numpy(), moving)


def test_one_value_per_channel_has_no_variance():
    ours, stock = _pair((None, 1, 1, 8))
    images = _images(shape=(1, 1, 1, 8))
    for layer in (ours, stock):
        assert np.isfinite(layer(images, training=True)).all()
    np.testing.assert_allclose(
        ours.moving_variance.numpy(), stock.moving_variance.numpy(), rtol=1e-5
    )


def test_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((5, 4, 8)), BatchNormalization()])
    model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    assert type(again.layers[0]) is BatchNormalization
    plain = keras.Sequential(
        [keras.Input((5, 4, 8)), keras.layers.BatchNormalization()]
    )
    model.save_weights(tmp_path / "net.weights.h5")
    plain.load_weights(tmp_path / "net.weights.h5")
