"""Whole models as twins, and their weights back again."""

import os
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_roots
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.regularizers.force import ForceRegularizer
from keras_roots.sparsity.pruning import prune
from keras_roots.tf_keras_twin.conversion import from_tf_keras, to_tf_keras

SHAPE = (6, 6, 3)


def check_equal(twin, model, inputs, atol=1e-5):
    expected = keras.tree.flatten(model(inputs, training=False))
    found = keras.tree.flatten(twin(inputs, training=False))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.ptp(theirs) > 1e-3
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["root_nin", "root_resnet20"])
def test_networks_of_the_zoo(name, randomise):
    model = randomise(keras_roots.create_model(name, root=4, input_shape=(8, 8, 3)))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("float32")
    check_equal(to_tf_keras(model), model, pixels)


def test_outputs_names_weights_and_settings(network, images):
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


def test_sequential_and_batch_size(randomise, images):
    model = keras.Sequential(
        [keras.Input(SHAPE, batch_size=2), layers.Conv2D(4, 3), layers.Flatten()]
    )
    twin = to_tf_keras(randomise(model))
    assert twin.input_shape == (2, *SHAPE)
    check_equal(twin, model, images(SHAPE))


def test_nested_shared_and_structured(randomise, images):
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


def test_everything_is_float32(randomise, images):
    model = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(4, 3, dtype="mixed_bfloat16")]
    )
    twin = to_tf_keras(randomise(model))
    found = twin(images(SHAPE))
    exact = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(4, 3)])
    exact.set_weights(model.get_weights())
    assert found.dtype == tf.float32
    check_equal(twin, exact, images(SHAPE))


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


def test_weights_come_back(network, images):
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
    inputs = keras.Input(SHAPE)
    inner = keras.Sequential([layers.BatchNormalization()], name="inner")
    model = keras.Model(inputs, inner(inputs, training=False))
    with pytest.raises(ValueError, match="nested model 'inner' called with {'training"):
        to_tf_keras(model)


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("tf_keras", "tf_keras.*keras_roots.optimize"),
        ("tensorflow_model_optimization", "tensorflow-model-opt.*keras_roots.optimize"),
    ],
)
def test_what_is_not_installed(package, message, network, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=message):
        keras_roots.tf_keras_twin.prunable(network, 0.5, end_step=1)


def test_other_backends(network, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="Received: the Keras backend 'jax'"):
        to_tf_keras(network)


def test_keras_stays_keras_3(network, images):
    """In a process that imported tf_keras and tensorflow-model-optimization."""
    keras_roots.tf_keras_twin.prunable(network, 0.5, end_step=1)
    assert "tensorflow_model_optimization" in sys.modules
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    for namespace in (tf, tf.compat.v1, tf.compat.v2):
        assert namespace.keras.layers.Conv2D is layers.Conv2D
    assert keras.layers.Conv2D.__module__.startswith("keras.src")
    before = network.get_layer("conv").get_weights()[0]
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.fit(images(SHAPE, 4), np.arange(4) % 3, verbose=0)
    assert not np.array_equal(network.get_layer("conv").get_weights()[0], before)


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "is_keras_3"), [(None, True), ("1", False)])
def test_in_a_process_of_its_own(setting, is_keras_3, run_python):
    """`tf.keras` is what it would be without a twin, and so in child processes."""
    run_python(
        f"""
import os, keras
os.environ.pop("TF_USE_LEGACY_KERAS", None)
setting = {setting!r}
if setting:
    os.environ["TF_USE_LEGACY_KERAS"] = setting
import keras_roots
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
sparse = keras_roots.tf_keras_twin.prunable(model, 0.5, end_step=1)
assert os.environ.get("TF_USE_LEGACY_KERAS") == setting
import tensorflow as tf
assert (tf.keras.layers.Dense is keras.layers.Dense) == {is_keras_3}
model.compile("adam", "mse")
model.fit(keras.ops.ones((2, 4)), keras.ops.ones((2, 2)), verbose=0)
model.save("model.keras")
copy = keras.models.load_model("model.keras")
assert (copy.get_weights()[0] == model.get_weights()[0]).all()
"""
    )


def test_a_layer_that_nested_models_share(randomise, images):
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
