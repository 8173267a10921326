"""Decomposed models: what they compute, and that they are ordinary Keras models."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import RootResNet20, decompose, plan_decomposition, profile
from keras_roots.export import LiteRTModel, export_tflite
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.lowrank.methods import METHODS

CONVOLUTIONS = {
    "plain": {},
    "strides": {"strides": (2, 3), "padding": "same"},
    "dilation": {"dilation_rate": (2, 3), "padding": "same"},
    "valid": {"dilation_rate": 2},
    "valid strides": {"strides": 2},
    "groups": {"groups": 2, "padding": "same"},
    "group strides": {"groups": 2, "strides": 2},
    "no bias": {"use_bias": False},
    "activation": {"activation": "relu", "padding": "same"},
}


def _outputs(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def _convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]


def _whole(model, images, method="pca"):
    """The model decomposed at full rank."""
    if not METHODS[method].by_responses:
        images = None
    plan = plan_decomposition(model, 0.5, method, cost=None, images=images)
    ranks = {row.name: row.full_rank for row in plan.layers if row.full_rank}
    return decompose(model, method=method, ranks=ranks, cost=None, images=images)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_exact_at_full_rank(one_layer, conv, images, case, method):
    model = one_layer(conv(8, (3, 2), name="conv", **CONVOLUTIONS[case]))
    small = _whole(model, images, method)
    first, second = _convolutions(small)
    assert first.name in ("conv_basis", "conv_vertical")
    assert second.name == "conv"
    assert not first.use_bias
    np.testing.assert_allclose(
        _outputs(small, images), _outputs(model, images), atol=1e-5
    )


@pytest.mark.parametrize("method", METHODS)
def test_outputs_differ_by_the_error_of_the_plan(one_layer, conv, method):
    """White images answer by the energy of the difference of the kernels."""
    images = np.random.default_rng(1).normal(size=(40, 12, 12, 6)).astype("float32")
    model = one_layer(conv(16, 3, use_bias=False, name="conv"))
    given = images if METHODS[method].by_responses else None
    plan = plan_decomposition(model, 0.2, method, cost=None, images=given)
    (row,) = plan.layers
    assert 0.05 < row.error <= 0.2
    found, exact = _outputs(plan.apply(), images), _outputs(model, images)
    error = ((found - exact) ** 2).sum() / (exact**2).sum()
    assert error == pytest.approx(row.error, rel=0.1)


def _branches(conv):
    """Shared, nested and grouped convolutions, BatchNorm and a shortcut."""
    inner = keras.Sequential(
        [keras.Input((12, 12, 8)), conv(12, 3, name="deep"), layers.ReLU()],
        name="inner",
    )
    inputs = keras.Input((12, 12, 6))
    shared = conv(6, 3, padding="same", name="shared")
    x = layers.BatchNormalization()(shared(shared(inputs)))
    x = layers.Add()([x, inputs])
    x = conv(8, 3, groups=2, padding="same", name="grouped")(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(inner(x))
    return keras.Model(inputs, layers.Dense(3)(x), name="branches")


def test_models_within_models(conv, images):
    model = _branches(conv)
    small = _whole(model, images)
    names = {layer.name for layer in small.layers}
    assert {"shared_basis", "shared", "grouped_basis", "grouped"} <= names
    assert small.get_layer("inner").get_layer("deep_basis").filters == 12
    assert isinstance(small.get_layer("grouped_basis"), GroupedConv2D)
    np.testing.assert_allclose(
        _outputs(small, images), _outputs(model, images), atol=1e-5
    )
    assert small.name == "branches"


def test_the_original_stays(conv, images):
    model = _branches(conv)
    before = _outputs(model, images)
    small = decompose(model, 0.5, cost=None)
    small.set_weights([0 * weight for weight in small.get_weights()])
    np.testing.assert_array_equal(_outputs(model, images), before)


@pytest.mark.parametrize("method", ["pca", "kmeans", "separable"])
def test_profile_counts_what_the_plan_says(conv, method):
    model = _branches(conv)
    plan = plan_decomposition(model, 0.4, method, cost=None)
    before, after = profile(model), profile(plan.apply())
    assert (plan.macs, plan.params) == (before.macs, before.params)
    assert (plan.macs_after, plan.params_after) == (after.macs, after.params)


def test_added_biases_count(one_layer, conv, images):
    model = one_layer(conv(16, 3, use_bias=False, name="conv"))
    plan = plan_decomposition(
        model, ranks={"conv": 2}, method="responses", images=images
    )
    after = profile(plan.apply())
    assert (plan.macs_after, plan.params_after) == (after.macs, after.params)


def test_saves_loads_and_trains(conv, images, tmp_path):
    small = decompose(_branches(conv), 0.3, cost=None)
    path = tmp_path / "small.keras"
    small.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(_outputs(loaded, images), _outputs(small, images))
    loaded.compile("sgd", "mse")
    before = [np.copy(weight) for weight in loaded.get_weights()]
    loaded.fit(images, np.zeros((len(images), 3)), verbose=0)
    changed = [
        np.abs(new - old).max() > 0
        for new, old in zip(loaded.get_weights(), before, strict=True)
    ]
    assert all(changed)


def test_filters_that_are_all_zero(one_layer, conv, images):
    layer = conv(8, 3, groups=2, name="conv")
    model = one_layer(layer, np.zeros((3, 3, 3, 8)))
    plan = plan_decomposition(model)
    assert (plan.layers[0].rank, plan.layers[0].error) == (2, 0)
    np.testing.assert_array_equal(
        _outputs(plan.apply(), images), _outputs(model, images)
    )


def test_low_rank_networks_lose_nothing(one_layer, conv, kernel_of, images):
    kernel = kernel_of([np.ones(3), np.ones(2)], (3, 3, 3, 16))
    model = one_layer(conv(16, 3, groups=2, name="conv"), kernel)
    small = decompose(model, 1e-9)
    assert small.get_layer("conv_basis").filters == 6
    np.testing.assert_allclose(
        _outputs(small, images), _outputs(model, images), atol=1e-5
    )


def test_grouped_networks():
    model = RootResNet20(root=4, classifier_activation=None)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    plan = plan_decomposition(model, 0.3)
    assert plan.macs_after < 0.8 * plan.macs
    assert profile(plan.apply()).macs == plan.macs_after
    exact = decompose(model, 1e-12, cost=None)
    np.testing.assert_allclose(
        _outputs(exact, pixels), _outputs(model, pixels), atol=1e-4
    )


@pytest.mark.slow
def test_keras_applications():
    model = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, weights=None, classes=5, classifier_activation=None
    )
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    plan = plan_decomposition(model, 0.4)
    assert plan.macs_after < plan.macs
    small = plan.apply()
    assert profile(small).macs == plan.macs_after
    exact = decompose(model, 1e-12, cost=None)
    np.testing.assert_allclose(
        _outputs(exact, pixels), _outputs(model, pixels), rtol=1e-3, atol=1e-5
    )


def _normal(count, shape, seed=4):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("float32")


DENSE = {
    "vector": ((20,), {}),
    "steps": ((7, 20), {}),
    "map": ((5, 6, 20), {"activation": "relu"}),
    "softmax": ((20,), {"activation": "softmax"}),
    "no bias": ((20,), {"use_bias": False}),
    "few inputs": ((6,), {}),
    "layer": ((20,), {"activation": "prelu"}),
    "float16": ((20,), {"dtype": "float16"}),
    "mixed": ((20,), {"dtype": "mixed_bfloat16"}),
    "lora": ((20,), {"activation": "relu"}),
}


@pytest.mark.parametrize("method", ["pca", "svd", "kmeans", "responses"])
@pytest.mark.parametrize("case", DENSE)
def test_dense_layers_are_exact_at_full_rank(case, method):
    shape, settings = DENSE[case]
    if case == "layer":
        settings = {"activation": layers.PReLU(alpha_initializer="random_normal")}
    layer = layers.Dense(12, name="fc", bias_initializer="random_normal", **settings)
    model = keras.Sequential([keras.Input(shape), layer])
    images = _normal(40, shape)
    expected = _outputs(model, images)  # builds the activation
    if case == "lora":
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(_normal(2, (12,)))
        expected = _outputs(model, images)
    how = {"images": images} if method == "responses" else {}
    rank = 12 if method == "kmeans" else min(shape[-1], 12)
    small = decompose(model, method=method, ranks={"fc": rank}, cost=None, **how)
    first, second = small.layers[-2:]
    assert [type(each) for each in (first, second)] == [layers.Dense, layers.Dense]
    assert (first.name, first.units, second.name) == ("fc_basis", rank, "fc")
    assert not first.use_bias
    assert first.dtype_policy.name == second.dtype_policy.name
    assert first.dtype_policy.name == layer.dtype_policy.name
    close = 0.03 if layer.compute_dtype != "float32" else 1e-4
    np.testing.assert_allclose(
        _outputs(small, images).astype("float32"),
        expected.astype("float32"),
        atol=close * np.abs(expected.astype("float32")).max(),
    )


@pytest.mark.parametrize("method", ["pca", "svd"])
def test_dense_layers_of_low_rank_are_truncated_as_numpy_does(method):
    images = _normal(9, (20,))
    model = keras.Sequential(
        [keras.Input((20,)), layers.Dense(12, name="fc", activation="relu")]
    )
    kernel, bias = model.get_layer("fc").get_weights()
    left, values, right = np.linalg.svd(kernel.astype("float64"), full_matrices=False)
    wanted = images @ (left[:, :5] * values[:5] @ right[:5]) + bias
    plan = plan_decomposition(model, method=method, ranks={"fc": 5}, cost=None)
    np.testing.assert_allclose(
        _outputs(plan.apply(), images), np.maximum(wanted, 0), atol=1e-5
    )
    (row,) = plan.layers
    assert row.error == pytest.approx((values[5:] ** 2).sum() / (values**2).sum())
    assert (row.macs, row.macs_after) == (20 * 12 + 12, 20 * 5 + 5 * 12 + 12)


def test_dense_layers_by_responses_are_the_best_fit():
    """Least squares: the leading directions of the answers that images give."""
    images = _normal(300, (20,)) @ np.diag(np.geomspace(1, 0.01, 20)).astype("float32")
    model = keras.Sequential([keras.Input((20,)), layers.Dense(12, name="fc")])
    kernel, bias = model.get_layer("fc").get_weights()
    answers = (images @ kernel + bias).astype("float64")
    mean = answers.mean(0)
    directions = np.linalg.eigh(np.cov(answers.T))[1][:, -3:]
    small = decompose(
        model, method="responses", ranks={"fc": 3}, cost=None, images=images
    )
    np.testing.assert_allclose(
        _outputs(small, images),
        (answers - mean) @ directions @ directions.T + mean,
        atol=2e-3,  # the ridge
    )


def _dense_network():
    """Dense layers that are shared, nested, on maps and after Flatten."""
    inner = keras.Sequential(
        [keras.Input((16,)), layers.Dense(16, activation="relu", name="deep")],
        name="inner",
    )
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    x = layers.Dense(16, activation="relu", name="map")(x)
    x = layers.Dense(16, name="flat")(layers.Flatten()(x))
    shared = layers.Dense(16, activation="tanh", name="shared")
    x = layers.Add()([shared(shared(x)), inner(x)])
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(x))


@pytest.mark.parametrize("method", ["pca", "svd", "responses"])
def test_shared_and_nested_dense_layers(method):
    model, images = _dense_network(), _normal(60, (6, 6, 3))
    ranks = {"map": 8, "flat": 16, "shared": 16, "inner/deep": 16, "head": 5}
    how = {"images": images} if method == "responses" else {}
    plan = plan_decomposition(model, method=method, ranks=ranks, cost=None, **how)
    small = plan.apply()
    np.testing.assert_allclose(
        _outputs(small, images), _outputs(model, images), atol=1e-4
    )
    after = profile(small)
    assert (plan.macs_after, plan.params_after) == (after.macs, after.params)
    assert small.get_layer("inner").get_layer("deep_basis").units == 16


def test_decomposed_dense_layers_save_load_and_run_in_litert(tmp_path):
    model, images = _dense_network(), _normal(60, (6, 6, 3))
    small = decompose(model, 0.3, layers=["map", "flat", "shared"], cost=None)
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(_outputs(loaded, images), _outputs(small, images))
    for quantize, close in ((None, 1e-4), ("int8", 0.06)):
        path = tmp_path / f"{quantize}.tflite"
        given = {"calibration_data": images} if quantize else {}
        export_tflite(loaded, path, quantize=quantize, **given)
        (found,) = LiteRTModel(path).predict(images)
        np.testing.assert_allclose(found, _outputs(small, images), atol=close)
