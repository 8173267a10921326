import keras
import numpy as np
import pytest
from helpers import assert_same_outputs, assign_random, normal_images
from keras import layers

import keras_roots
from keras_roots.export import LiteRTModel
from keras_roots.graph.parts import put_together, take_apart
from keras_roots.graph.walk import operations


def _separable(name, filters=4, **settings):
    return layers.SeparableConv2D(
        filters, 3, padding="same", name=name, activation="relu", **settings
    )


def _head(inputs, x):
    x = layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(x))
    return assign_random(keras.Model(inputs, x))


def _stack(*stack, shape=(8, 8, 3)):
    x = inputs = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return _head(inputs, x)


def _shared():
    shared = _separable("shared", 3)
    return _stack(shared, layers.AveragePooling2D(2), shared)


def _nested():
    inner = keras.Sequential([keras.Input((8, 8, 4)), _separable("conv")], name="inner")
    twice = keras.Sequential([keras.Input((8, 8, 4)), _separable("conv")], name="twice")
    return _stack(_separable("conv"), inner, twice, twice)


def _shared_by_models():
    shared = _separable("conv")
    models = [
        keras.Sequential([keras.Input((8, 8, 4)), shared], name=name) for name in "ab"
    ]
    return _stack(_separable("first"), *models)


def _named_alike():
    return _stack(
        _separable("conv"),
        layers.Conv2D(4, 1, name="conv_depthwise"),
        layers.DepthwiseConv2D(3, name="conv_depthwise_2"),
    )


def _branches():
    inputs = keras.Input((8, 8, 3))
    x = _separable("left")(inputs)
    y = layers.Conv2DTranspose(4, 2, 2, name="up")(layers.MaxPooling2D()(x))
    return _head(inputs, layers.Concatenate()([x, y]))


NETWORKS = {
    "shared": _shared,
    "nested": _nested,
    "shared by models": _shared_by_models,
    "named alike": _named_alike,
    "branches": _branches,
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_networks_are_taken_apart_and_put_together(make):
    model = make()
    parts = take_apart(model)
    assert take_apart(parts) is parts
    whole = put_together(parts, model)
    kinds = [
        [(name, type(layer)) for name, layer in operations(each)]
        for each in (model, parts, whole)
    ]
    assert kinds[0] == kinds[2] != kinds[1]
    assert not {kind for _, kind in kinds[1]} & {layers.SeparableConv2D}
    for other in (parts, whole):
        assert_same_outputs(model, other, normal_images(4))
        assert other.count_params() - model.count_params() in (0, 12)  # biases of "up"


def test_networks_without_such_layers_stay():
    model = _stack(layers.Conv2D(4, 3))
    assert take_apart(model) is model
    assert put_together(model, model) is model


def test_what_is_wrapped_stays():
    inputs = keras.Input((5, 12, 3))
    x = layers.TimeDistributed(layers.Conv1D(4, 3))(inputs)
    model = keras.Model(inputs, layers.Flatten()(x))
    assert take_apart(model) is model


def test_a_layer_called_on_maps_of_two_sizes_stays_where_sizes_matter():
    shared = layers.Conv2DTranspose(3, 2, 2, name="up")
    model = _stack(shared, shared)
    assert take_apart(model) is model


def test_sequences_of_two_lengths():
    inputs = keras.Input((12, 4))
    shared = layers.Conv1D(4, 3, padding="causal", name="conv")
    x = shared(layers.AveragePooling1D(2)(shared(inputs)))
    model = assign_random(keras.Model(inputs, layers.Flatten()(x)))
    parts = take_apart(model)
    sequences = np.random.default_rng(0).normal(size=(3, 12, 4)).astype("float32")
    assert_same_outputs(model, parts, sequences)
    assert_same_outputs(model, put_together(parts, model), sequences)


def test_biases_that_differ_from_place_to_place_stay_apart():
    model = _branches()
    parts = take_apart(model)
    up = parts.get_layer("up")
    up.bias.assign(np.arange(16.0))
    whole = put_together(parts, model)
    assert isinstance(whole.get_layer("up"), layers.Conv2D)
    assert isinstance(whole.get_layer("left"), layers.SeparableConv2D)
    assert_same_outputs(parts, whole, normal_images(4))


# Techniques: what a network of parts goes through, and comes out of.


def _sequences():
    inputs = keras.Input((16, 6))
    x = inputs
    for index, settings in enumerate(({"padding": "causal"}, {"strides": 2}, {})):
        settings = {"activation": "relu", "name": f"conv{index}", **settings}
        x = layers.Conv1D(8, 3, **settings)(x)
    x = layers.SeparableConv1D(8, 3, name="apart")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return assign_random(keras.Model(inputs, layers.Dense(3, name="head")(x)))


def _images(width=8):
    return _stack(
        layers.Conv2D(width, 3, padding="same", name="stem"),
        _separable("apart", width),
        layers.MaxPooling2D(),
        layers.Conv2D(width, 3, padding="same", activation="relu", name="conv"),
        layers.Conv2DTranspose(width, 2, 2, activation="relu", name="up"),
        _separable("last", width),
    )


MAKERS = {"images": _images, "sequences": _sequences}


def _samples(model, count=40):
    shape = model.inputs[0].shape[1:]
    return np.random.default_rng(1).normal(size=(count, *shape)).astype("float32")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("method", ["pca", "svd", "responses"])
def test_decomposed_at_full_rank(make, method, tmp_path):
    model = make()
    samples = _samples(model)
    ranks = {
        name: min(np.prod(layer.kernel.shape[:3]), layer.filters)
        for name, layer in operations(take_apart(model))
        if isinstance(layer, layers.Conv2D)
    }
    analysed = keras_roots.rank_analysis(model).layers
    assert [layer.name for layer in analysed] == list(ranks)
    images = samples if method == "responses" else None
    plan = keras_roots.plan_decomposition(
        model, ranks=ranks, method=method, cost=None, images=images
    )
    small = plan.apply()
    assert set(plan.ranks) == set(ranks)
    assert plan.macs == keras_roots.profile(model).macs
    assert_same_outputs(model, small, samples)
    assert not any(
        isinstance(layer, layers.SeparableConv2D | layers.SeparableConv1D)
        for _, layer in operations(small)
    )
    small.save(tmp_path / "small.keras")
    assert_same_outputs(
        small, keras.models.load_model(tmp_path / "small.keras"), samples
    )


def test_sequences_stay_sequences():
    small = keras_roots.decompose(_sequences(), ranks={"conv0": 3, "apart": 2})
    assert {
        name: type(layer).__name__ for name, layer in operations(small) if layer.weights
    } == {
        "conv0_basis": "Conv1D",
        "conv0": "Conv1D",
        "conv1": "Conv1D",
        "conv2": "Conv1D",
        "apart_depthwise": "DepthwiseConv1D",
        "apart_basis": "Conv1D",
        "apart": "Conv1D",
        "head": "Dense",
    }


def test_layers_that_do_not_change_are_what_they_were():
    model = _images()
    small = keras_roots.decompose(model, ranks={"last": 2})
    kinds = {name: type(layer) for name, layer in operations(model)}
    found = {name: type(layer) for name, layer in operations(small)}
    assert set(found) - set(kinds) == {"last_depthwise", "last_basis"}
    assert {name for name in kinds if found[name] != kinds[name]} == {"last"}
    part = keras_roots.profile(small).macs - keras_roots.profile(model).macs
    assert part == 64 * (8 * 2 + 2 * 8 - 8 * 8)


def test_a_transposed_convolution_becomes_two_1x1s_and_moves():
    model = _images()
    plan = keras_roots.plan_decomposition(model, ranks={"up": 4})
    small = plan.apply()
    names = [name for name, _ in operations(small) if name.startswith("up")]
    assert names == ["up_basis", "up", "up_blocks", "up_order", "up_map"]
    (row,) = (row for row in plan.layers if row.name == "up")
    assert row.macs_after == 16 * (8 * 4 + 4 * 32) + 32


@pytest.mark.parametrize("carry_over", ["energy", "slice", "responses"])
def test_filter_groups_along_sequences(carry_over):
    model = _sequences()
    samples = _samples(model, 200)
    images = samples if carry_over == "responses" else None
    plan = keras_roots.plan_rootify(
        model, 2, "column", carry_over=carry_over, images=images
    )
    small = plan.apply()
    assert plan.groups == {"conv1": 2, "conv2": 2}
    assert [row.stage for row in plan.layers] == [0, 0]
    assert small.get_layer("conv1").groups == 2
    assert isinstance(small.get_layer("conv0"), layers.Conv1D)
    assert isinstance(small.get_layer("apart"), layers.SeparableConv1D)
    assert plan.macs_after == keras_roots.profile(small).macs
    assert small(samples).shape == model(samples).shape


@pytest.mark.parametrize("make", [lambda: _images(32), _sequences], ids=MAKERS)
def test_compressed_and_exported(make, tmp_path):
    model = make()
    samples = _samples(model, 100)
    small = keras_roots.compress(model, samples, 0.7, cost="macs", say=None)
    assert (
        keras_roots.profile(small.model).macs <= 0.7 * keras_roots.profile(model).macs
    )
    (tmp_path / "small.tflite").write_bytes(small.tflite)
    (found,) = LiteRTModel(tmp_path / "small.tflite").predict(samples[:3])
    np.testing.assert_allclose(found, small.model(samples[:3]), atol=1e-4)


def test_stages_of_sequences_halve_with_their_length():
    x = inputs = keras.Input((32, 4))
    for index in range(4):
        x = layers.Conv1D(4, 3, 2, padding="same", name=f"conv{index}")(x)
    plan = keras_roots.plan_rootify(keras.Model(inputs, x), 4)
    assert [row.groups for row in plan.layers] == [4, 2, 1]
