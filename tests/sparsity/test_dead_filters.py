"""Removal of dead filters, against the same network with those filters at zero."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_roots
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.layers.local_response_normalization import LocalResponseNormalization
from keras_roots.regularizers.group_lasso import GroupLasso
from keras_roots.sparsity.dead_filters import dead_filters, remove_dead_filters
from keras_roots.sparsity.pruning import prune

DEAD = (1, 4)


def _images(model, count=3):
    shape = (count, *model.inputs[0].shape[1:])
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _randomise(model):
    """Gives every weight, biases and moving statistics too, a value of its own."""
    rng = np.random.default_rng(1)
    model.set_weights(
        [
            rng.uniform(0.2, 1, w.shape) * rng.choice([-1, 1])
            for w in model.get_weights()
        ]
    )
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            *others, variance = layer.get_weights()
            others = [rng.normal(size=w.shape) for w in others]
            layer.set_weights([*others, np.abs(variance)])


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
    _randomise(model)
    return model


def _head():
    return [layers.GlobalAveragePooling2D(), layers.Dense(4, name="dense")]


def _concatenated():
    inputs = keras.Input((9, 8, 3))
    one = layers.Conv2D(6, 3, name="dead", activation="tanh")(inputs)
    two = layers.Conv2D(5, 3, name="other")(inputs)
    x = layers.Concatenate()([two, one, inputs[:, 1:-1, 1:-1]])
    return keras.Model(inputs, layers.Conv2D(7, 3, name="consumer")(x))


def _branches():
    inputs = keras.Input((9, 8, 3))
    x = layers.Conv2D(6, 3, name="dead")(inputs)
    one = layers.Conv2D(5, 3, name="one")(x)
    two = layers.Conv2D(5, 3, name="two", use_bias=False)(x)
    return keras.Model(inputs, layers.Add()([one, two]))


def _out_of_a_nested_model():
    inner = keras.Input((9, 8, 3))
    x = layers.Conv2D(6, 3, name="dead")(inner)
    inner = keras.Model(inner, layers.BatchNormalization()(x), name="inner")
    inputs = keras.Input((9, 8, 3))
    return keras.Model(inputs, layers.Conv2D(4, 3)(inner(inputs)))


# Networks whose layer "dead" can lose filters, whatever their biases are.
EXACT = {
    "convolution": lambda: _model(layers.Conv2D(4, 3)),
    "strided": lambda: _model(layers.Conv2D(4, 3, strides=2, dilation_rate=1)),
    "dilated": lambda: _model(layers.Conv2D(4, 2, dilation_rate=2)),
    "pointwise": lambda: _model(layers.Conv2D(4, 1, strides=2, padding="same")),
    "without_bias": lambda: _model(layers.Conv2D(4, 3, use_bias=False)),
    "batch_norm": lambda: _model(
        layers.BatchNormalization(), layers.ReLU(), layers.Conv2D(4, 3)
    ),
    "plain_batch_norm": lambda: _model(
        keras_roots.layers.BatchNormalization(scale=False, center=False),
        layers.Conv2D(4, 3),
    ),
    "activations": lambda: _model(
        layers.Activation("silu"),
        layers.LeakyReLU(),
        layers.ELU(),
        layers.Conv2D(4, 3),
        first=layers.Conv2D(6, 3, name="dead", activation="gelu"),
    ),
    "pooling": lambda: _model(
        layers.MaxPooling2D(3, 2, padding="same"),
        layers.AveragePooling2D(3, 1, padding="same"),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.Cropping2D(1),
        layers.SpatialDropout2D(0.5),
        layers.Conv2D(4, 3),
    ),
    "dense": lambda: _model(*_head()),
    "global_maximum": lambda: _model(
        layers.GlobalMaxPooling2D(keepdims=True), layers.Conv2D(4, 1), layers.ReLU()
    ),
    "flatten": lambda: _model(
        layers.Flatten(), layers.Dropout(0.5), layers.Dense(4, use_bias=False)
    ),
    "depthwise": lambda: _model(
        layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"),
        layers.BatchNormalization(),
        layers.Conv2D(4, 3),
    ),
    "dense_on_images": lambda: _model(layers.Dense(4)),
    "concatenate": _concatenated,
    "branches": _branches,
}

# Networks where constants other than zero meet zero padding.
PADDED = {
    "same": lambda: _model(layers.Conv2D(4, 3, padding="same")),
    "relu": lambda: _model(layers.ReLU(), layers.Conv2D(4, 3, padding="same")),
    "depthwise": lambda: _model(
        layers.DepthwiseConv2D(3, padding="same", use_bias=False), *_head()
    ),
    "zero_padding": lambda: _model(layers.ZeroPadding2D(1), *_head()),
    "response_normalization": lambda: _model(
        LocalResponseNormalization(3, 0.1, "within_channel"), *_head()
    ),
}

# Networks in which the filters of "dead" must stay, and what the report says.
STUCK = {
    "output": (lambda: _model(layers.ReLU()), "an output"),
    "softmax": (lambda: _model(layers.Activation("softmax"), *_head()), "needs it"),
    "own_softmax": (
        lambda: _model(
            *_head(), first=layers.Conv2D(6, 3, name="dead", activation="softmax")
        ),
        "activation of dead",
    ),
    "groups": (lambda: _model(GroupedConv2D(4, 3, groups=2, name="g")), "g has groups"),
    "separable": (lambda: _model(layers.SeparableConv2D(4, 3, name="s")), "s needs it"),
    "reshape": (lambda: _model(layers.Permute((2, 1, 3), name="p")), "p needs it"),
    "other_axis": (
        lambda: _model(layers.BatchNormalization(axis=1, name="b"), *_head()),
        "b has its channels on another axis",
    ),
    "across_channels": (
        lambda: _model(LocalResponseNormalization(3, 0.1, name="n"), *_head()),
        "n needs it",
    ),
    "into_a_nested_model": (
        lambda: _model(keras.Sequential([layers.Conv2D(4, 3)], name="inner")),
        "enters the model inner",
    ),
}


def _check_same_outputs(model, smaller, tolerance=1e-5):
    want = np.asarray(model(_images(model)))
    got = np.asarray(smaller(_images(model)))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=tolerance * np.ptp(want))


@pytest.mark.parametrize("make", EXACT.values(), ids=EXACT)
def test_the_rest_computes_the_same(make):
    model = make()
    _kill(model, "dead")
    smaller = remove_dead_filters(model)
    assert smaller.get_layer("dead").filters == 4
    _check_same_outputs(model, smaller)
    assert smaller.count_params() < model.count_params()
    assert model.get_layer("dead").filters == 6


def test_a_nested_model():
    model = _out_of_a_nested_model()
    _randomise(model)
    _kill(model.get_layer("inner"), "dead")
    smaller = remove_dead_filters(model)
    assert smaller.get_layer("inner").get_layer("dead").filters == 4
    _check_same_outputs(model, smaller)
    assert dead_filters(model).layers[0].name == "inner/dead"


@pytest.mark.parametrize("make", PADDED.values(), ids=PADDED)
def test_only_zero_goes_through_zero_padding(make):
    model = make()
    _kill(model, "dead", bias=0.0)
    smaller = remove_dead_filters(model)
    assert smaller.get_layer("dead").filters == 4
    _check_same_outputs(model, smaller)
    _kill(model, "dead", bias=0.3)
    assert remove_dead_filters(model).get_layer("dead").filters == 6
    assert "zeros" in dead_filters(model).layers[0].reasons[0]


def test_a_negative_constant_is_zero_after_relu():
    model = PADDED["relu"]()
    _kill(model, "dead", bias=-0.3)
    smaller = remove_dead_filters(model)
    assert smaller.get_layer("dead").filters == 4
    _check_same_outputs(model, smaller)


@pytest.mark.parametrize("make,reason", STUCK.values(), ids=STUCK)
def test_what_cannot_follow_keeps_the_filters(make, reason):
    model = make()
    _kill(model, "dead")
    smaller = remove_dead_filters(model)
    assert smaller.get_layer("dead").filters == 6
    _check_same_outputs(model, smaller)
    layer = dead_filters(model).layers[0]
    assert (layer.dead, layer.removable) == (DEAD, ())
    assert any(reason in text for text in layer.reasons)


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


def test_channels_first():
    keras.config.set_image_data_format("channels_first")
    stack = [layers.BatchNormalization(axis=1), layers.Flatten(), layers.Dense(4)]
    model = _model(*stack, shape=(3, 9, 8))
    _kill(model, "dead")
    smaller = remove_dead_filters(model)
    assert smaller.layers[1].filters == 4
    # A CPU convolves channels last only: compare what comes after the convolution.
    kept = [index for index in range(6) if index not in DEAD]
    maps = np.random.default_rng(0).normal(size=(2, 6, 7, 6)).astype("float32")
    bias = model.layers[0].get_weights()[1]
    for index in DEAD:
        maps[:, index] = bias[index]
    want, got = maps, maps[:, kept]
    for one, other in zip(model.layers[1:], smaller.layers[2:], strict=True):
        want, got = one(want), other(got)
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-4, atol=1e-4)


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


def test_a_layer_of_zeros_keeps_a_filter():
    model = _model(layers.Conv2D(4, 3))
    _kill(model, "dead", range(6))
    smaller = remove_dead_filters(model)
    assert smaller.get_layer("dead").filters == 1
    _check_same_outputs(model, smaller)


def test_a_shared_layer_keeps_its_filters():
    inputs = keras.Input((9, 8, 6))
    layer = layers.Conv2D(6, 3, name="dead")
    consumer = layers.Conv2D(2, 3)
    x = layer(inputs)
    model = keras.Model(inputs, [consumer(x), consumer(layer(x))])
    _randomise(model)
    _kill(model, "dead")
    assert remove_dead_filters(model).get_layer("dead").filters == 6
    assert "more than once" in dead_filters(model).layers[0].reasons[0]


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


class _Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize("function", [remove_dead_filters, dead_filters])
def test_bad_arguments_are_refused(function):
    for threshold in (-0.1, 1, float("nan"), "0.1", None):
        with pytest.raises(ValueError, match="`threshold`.*Received: threshold="):
            function(_model(), threshold)
    with pytest.raises(ValueError, match="functional or Sequential"):
        function(_Subclassed())
    model = _model()
    _kill(model, "dead", value=np.nan)
    with pytest.raises(ValueError, match="finite weights.*'dead'"):
        function(model)
