"""Removal of dead filters, against the same network with those filters at zero."""

import keras
import numpy as np
import pytest
from helpers import Subclassed, assign_random, random_images
from keras import layers

import keras_roots
from keras_roots.layers import GroupedConv2D
from keras_roots.regularizers import GroupLasso
from keras_roots.sparsity import dead_filters, prune, remove_dead_filters

DEAD = (1, 4)


def _kill(model, name, filters=DEAD, bias=None, value=0.0):
    layer = model.get_layer(name)
    kernel, *rest = layer.get_weights()
    kernel[..., list(filters)] = value
    if bias is not None:
        rest[0][list(filters)] = bias
    layer.set_weights([kernel, *rest])


def _model(*stack, shape=(9, 8, 3), first=None):
    first = first or layers.Conv2D(6, 3, name="dead")
    model = keras.Sequential([keras.Input(shape), first, *stack])
    assign_random(model)
    return model


def _head():
    return [layers.GlobalAveragePooling2D(), layers.Dense(4, name="dense")]


def _check_same_outputs(model, smaller, tolerance=1e-5):
    want = np.asarray(model(random_images(model)))
    got = np.asarray(smaller(random_images(model)))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=tolerance * np.ptp(want))


def test_a_residual_sum_keeps_its_filters_and_a_block_loses_its_inner_ones():
    model = keras_roots.RootResNet20(include_preprocessing=False)
    _kill(model, "conv2_block2_1_conv")
    _kill(model, "conv2_block2_2_conv")
    norm = model.get_layer("conv2_block2_1_bn")
    gamma, beta, *statistics = norm.get_weights()
    beta[:] = -0.1
    norm.set_weights([gamma, beta, *statistics])
    report = {layer.name: layer for layer in dead_filters(model).layers}
    assert report["conv2_block2_1_conv"].removable == DEAD
    assert report["conv2_block2_2_conv"].reasons == ("conv2_block2_add needs it",)
    smaller = remove_dead_filters(model)
    assert smaller.get_layer("conv2_block2_1_conv").filters == 14
    assert smaller.get_layer("conv2_block2_2_conv").filters == 16
    _check_same_outputs(model, smaller)


def test_groups_lose_as_many_filters_each():
    model = _model(
        layers.Conv2D(4, 3),
        shape=(9, 8, 4),
        first=GroupedConv2D(8, 3, groups=2, name="dead"),
    )
    _kill(model, "dead", [0, 2, 5], value=1e-6)
    _kill(model, "dead", [2], value=1e-5)
    report = dead_filters(model).layers[0]
    assert report.dead == (0, 2, 5)
    assert report.removable == (0, 5)
    assert report.reasons == ("all groups keep as many",)
    smaller = remove_dead_filters(model)
    assert smaller.get_layer("dead").filters == 6
    assert smaller.get_layer("dead").groups == 2
    _check_same_outputs(model, smaller)


def test_layers_of_nested_models_have_their_names():
    inputs = keras.Input((9, 8, 3))
    inner = _model(layers.ReLU())
    inner.name = "inner"
    _kill(inner, "dead")
    model = keras.Model(inputs, layers.Conv2D(4, 3, name="last")(inner(inputs)))
    inner_report, last = dead_filters(model).layers
    assert (inner_report.name, last.name) == ("inner/dead", "last")
    assert inner_report.removable == DEAD


def test_a_convnet_becomes_smaller():
    model = keras_roots.RootConvNet(include_preprocessing=False)
    for index in (1, 2, 3):
        _kill(model, f"conv{index}", range(0, 32, 2), bias=-0.1)
    smaller = remove_dead_filters(model)
    filters = [smaller.get_layer(f"conv{index}").filters for index in (1, 2, 3)]
    assert filters == [16, 16, 48]
    _check_same_outputs(model, smaller)
    # conv2: 16 x 16 positions, a quarter of 5 * 5 * 32 * 32 weights, 16 biases.
    macs = {layer.name: layer.macs for layer in keras_roots.profile(smaller).layers}
    assert macs["conv2"] == 256 * 25 * 16 * 16 + 16


@pytest.mark.parametrize(
    "threshold,count", [(0, 1), (1e-3, 2), (0.2, 3), (0.999999, 5)]
)
def test_the_threshold_is_relative_to_the_largest(threshold, count):
    model = _model(*_head())
    layer = model.get_layer("dead")
    kernel, bias = layer.get_weights()
    kernel /= np.sqrt((kernel**2).sum(axis=(0, 1, 2)))
    kernel *= 50 * np.array([0.1, 1, 0.5, 0.0, 0.0009, 0.7])
    layer.set_weights([kernel, bias])
    assert dead_filters(model, threshold).dead == count
    assert remove_dead_filters(model, threshold).get_layer("dead").filters == 6 - count


def test_a_pruned_model_keeps_its_zeros():
    model = prune(_model(layers.Conv2D(4, 3, name="next")), 0.4)
    _kill(model, "dead")
    smaller = remove_dead_filters(model)
    for name in ("dead", "next"):
        layer = smaller.get_layer(name)
        kernel = layer.get_weights()[0]
        np.testing.assert_array_equal(layer.kernel_constraint(kernel), kernel)
        assert (kernel == 0).any()


def test_trained_with_group_lasso_and_removed(tmp_path):
    lasso = GroupLasso(0.05)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(8, 3, kernel_regularizer=lasso, name="conv"),
            layers.ReLU(),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), "mse")
    x = np.random.default_rng(0).normal(size=(128, 6, 6, 2)).astype("float32")
    model.fit(x, x.mean(axis=(1, 2, 3)), batch_size=32, epochs=20, verbose=0)
    smaller = remove_dead_filters(model, 0.1)
    assert smaller.get_layer("conv").filters < 8
    smaller.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    _check_same_outputs(smaller, loaded)
    loaded.compile("sgd", "mse")
    loaded.fit(x, x.mean(axis=(1, 2, 3)), verbose=0)


def test_the_report_is_a_table():
    model = _model(layers.Conv2D(4, 3, name="last"))
    _kill(model, "dead")
    report = dead_filters(model)
    assert (report.dead, report.removable) == (2, 2)
    lines = str(report).splitlines()
    assert lines[2].split() == ["dead", "6", "2", "2"]
    assert lines[-1].split() == ["total", "10", "2", "2"]


@pytest.mark.parametrize("function", [remove_dead_filters, dead_filters])
def test_bad_arguments_are_refused(function):
    for threshold in (-0.1, 1, float("nan"), "0.1", None, False):
        with pytest.raises(ValueError, match="`threshold`.*Received: threshold="):
            function(_model(), threshold)
    with pytest.raises(ValueError, match="functional or Sequential"):
        function(Subclassed())
    model = _model()
    _kill(model, "dead", value=np.nan)
    with pytest.raises(ValueError, match="kernel of layer 'dead' must be finite"):
        function(model)
