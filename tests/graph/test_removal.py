"""Filters removed from networks, against the same networks with them at zero."""

import keras
import numpy as np
import pytest
from helpers import Subclassed, assign_random, random_images
from keras import layers

import keras_roots
from keras_roots.graph import FilterRemoval
from keras_roots.layers import FixedZeros, GroupedConv2D, LocalResponseNormalization

DEAD = (1, 4)


def _removal(model, dead=DEAD, bias=None):
    """Sets filters of layer "dead" to zero; returns their removal."""
    layer = model.get_layer("dead")
    kernel, *rest = layer.get_weights()
    kernel[..., list(dead)] = 0.0
    if bias is not None:
        rest[0][list(dead)] = bias
    layer.set_weights([kernel, *rest])
    return FilterRemoval(model, {id(layer): dead})


def _check_removed(model, removal, filters=4):
    """Checks that a layer loses filters, and the network computes the same."""
    before = model.get_layer("dead").filters
    smaller = removal.apply()
    assert smaller.get_layer("dead").filters == filters
    assert len(removal.removed(model.get_layer("dead"))) == before - filters
    images = random_images(model, 3)
    want, got = (np.asarray(network(images)) for network in (model, smaller))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.ptp(want))
    return smaller


def _model(*stack, shape=(9, 8, 3), first=None):
    first = first or layers.Conv2D(6, 3, name="dead")
    model = keras.Sequential([keras.Input(shape), first, *stack])
    assign_random(model)
    return model


def _head():
    return [layers.GlobalAveragePooling2D(), layers.Dense(4, name="dense")]


def _joined(tensors):
    return keras.ops.concatenate(tensors, axis=-1)


def _concatenated(join):
    inputs = keras.Input((9, 8, 3))
    one = layers.Conv2D(6, 3, name="dead", activation="tanh")(inputs)
    two = layers.Conv2D(5, 3, name="other")(inputs)
    x = join([two, one, inputs[:, 1:-1, 1:-1]])
    return keras.Model(inputs, layers.Conv2D(7, 3, name="consumer")(x))


def _branches():
    inputs = keras.Input((9, 8, 3))
    x = layers.Conv2D(6, 3, name="dead")(inputs)
    one = layers.Conv2D(5, 3, name="one")(x)
    two = layers.Conv2D(5, 3, name="two", use_bias=False)(x)
    return keras.Model(inputs, layers.Add()([one, two]))


def _summed():
    inputs = keras.Input((9, 8, 3))
    one = layers.Conv2D(6, 3, name="dead")(inputs)
    two = layers.Conv2D(6, 3, name="other")(inputs)
    x = layers.Add(name="sum")([one, two])
    return keras.Model(inputs, layers.Conv2D(7, 3)(x))


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
    "more_layers": lambda: _model(
        layers.Rescaling(2.0, -0.5),
        layers.ActivityRegularization(0.1),
        layers.AlphaDropout(0.5),
        layers.Conv2D(4, 3),
    ),
    "flatten_by_channel": lambda: _model(
        layers.Flatten("channels_first"), layers.Dense(4)
    ),
    "concatenate": lambda: _concatenated(layers.Concatenate()),
    "concatenate_operation": lambda: _concatenated(_joined),
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
    "groups": (
        lambda: _model(GroupedConv2D(4, 3, groups=2, name="g")),
        "g has filter groups",
    ),
    "separable": (lambda: _model(layers.SeparableConv2D(4, 3, name="s")), "s needs it"),
    "reshape": (lambda: _model(layers.Permute((2, 1, 3), name="p")), "p needs it"),
    "sum": (_summed, "sum needs it"),
    "prelu": (lambda: _model(layers.PReLU(name="p"), *_head()), "p needs it"),
    "fixed_shape": (
        lambda: _model(layers.Reshape((7, 6, 6), name="r"), *_head()),
        "r needs it",
    ),
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


@pytest.mark.parametrize("make", EXACT.values(), ids=EXACT)
def test_the_rest_computes_the_same(make):
    model = make()
    removal = _removal(model)
    smaller = _check_removed(model, removal)
    assert removal.removed(model.get_layer("dead")) == list(DEAD)
    assert removal.reasons(model.get_layer("dead")) == ()
    assert smaller.count_params() < model.count_params()
    assert model.get_layer("dead").filters == 6


def test_out_of_a_nested_model():
    inner = keras.Input((9, 8, 3))
    x = layers.Conv2D(6, 3, name="dead")(inner)
    inner = keras.Model(inner, layers.BatchNormalization()(x), name="inner")
    inputs = keras.Input((9, 8, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 3)(inner(inputs)))
    assign_random(model)
    _removal(inner)
    removal = FilterRemoval(model, {id(inner.get_layer("dead")): DEAD})
    smaller = removal.apply()
    assert smaller.get_layer("inner").get_layer("dead").filters == 4
    images = random_images(model)
    want, got = (np.asarray(network(images)) for network in (model, smaller))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.ptp(want))


@pytest.mark.parametrize("make", PADDED.values(), ids=PADDED)
def test_only_zero_goes_through_zero_padding(make):
    model = make()
    _check_removed(model, _removal(model, bias=0.0))
    removal = _removal(model, bias=0.3)
    _check_removed(model, removal, filters=6)
    assert "zeros" in removal.reasons(model.get_layer("dead"))[0]


def test_a_negative_constant_is_zero_after_relu():
    model = PADDED["relu"]()
    _check_removed(model, _removal(model, bias=-0.3))


@pytest.mark.parametrize("make,reason", STUCK.values(), ids=STUCK)
def test_what_cannot_follow_keeps_the_filters(make, reason):
    model = make()
    removal = _removal(model)
    _check_removed(model, removal, filters=6)
    reasons = removal.reasons(model.get_layer("dead"))
    assert any(reason in text for text in reasons)


def test_channels_first():
    keras.config.set_image_data_format("channels_first")
    stack = [layers.BatchNormalization(axis=1), layers.Flatten(), layers.Dense(4)]
    model = _model(*stack, shape=(3, 9, 8))
    smaller = _removal(model).apply()
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
    """The first filter of the first group goes with the only one of the second."""
    model = _model(
        layers.Conv2D(4, 3),
        shape=(9, 8, 4),
        first=GroupedConv2D(8, 3, groups=2, name="dead"),
    )
    removal = _removal(model, (5, 0, 2))
    assert removal.removed(model.get_layer("dead")) == [0, 5]
    assert removal.reasons(model.get_layer("dead")) == ("all groups keep as many",)
    # Filter 2, zero as well, stays.
    smaller = _check_removed(model, removal, filters=6)
    assert smaller.get_layer("dead").groups == 2


def test_a_layer_of_zeros_keeps_a_filter():
    model = _model(layers.Conv2D(4, 3))
    removal = _removal(model, range(6))
    _check_removed(model, removal, filters=1)
    assert removal.reasons(model.get_layer("dead")) == ("a layer keeps one",)


def test_a_shared_layer_keeps_its_filters():
    inputs = keras.Input((9, 8, 6))
    layer = layers.Conv2D(6, 3, name="dead")
    consumer = layers.Conv2D(2, 3)
    x = layer(inputs)
    model = keras.Model(inputs, [consumer(x), consumer(layer(x))])
    assign_random(model)
    removal = _removal(model)
    assert removal.apply().get_layer("dead").filters == 6
    assert "more than once" in removal.reasons(layer)[0]


def test_masks_of_pruned_weights_lose_channels_too():
    masks = np.random.default_rng(0).random((2, 3, 3, 6, 6)) < 0.5
    model = _model(
        layers.Conv2D(6, 3, kernel_constraint=FixedZeros(masks[1]), name="next"),
        layers.Conv2D(4, 3),
        first=layers.Conv2D(
            6, 3, kernel_constraint=FixedZeros(masks[0, :, :, :3]), name="dead"
        ),
    )
    smaller = _removal(model).apply()
    kept = [index for index in range(6) if index not in DEAD]
    for name, mask in (
        ("dead", masks[0][..., :3, kept]),
        ("next", masks[1][..., kept, :]),
    ):
        held = smaller.get_layer(name).kernel_constraint
        np.testing.assert_array_equal(held.mask, mask)


def test_a_model_without_a_graph_is_refused():
    with pytest.raises(ValueError, match="functional or Sequential"):
        FilterRemoval(Subclassed(), {})
