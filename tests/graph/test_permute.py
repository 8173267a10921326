"""Channels in another order, against the same network as it was."""

import keras
import numpy as np
import pytest
from helpers import assign_random, random_images
from keras import layers

import keras_roots
from keras_roots.graph.channels import channel_spaces
from keras_roots.graph.permute import permute_channels
from keras_roots.layers import FixedZeros
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.layers.local_response_normalization import LocalResponseNormalization
from keras_roots.sparsity.pruning import prune


def _difference(model, other):
    """Returns the largest difference of the outputs, to the range of the model's."""
    want, got = (np.asarray(x(random_images(model))) for x in (model, other))
    assert np.isfinite(want).all()
    return np.abs(got - want).max() / np.ptp(want)


def _permutations(spaces):
    """Returns another order for every space that may have one."""
    rng = np.random.default_rng(2)
    sizes = {s: spaces.size(s) for s in spaces if not spaces.pinned(s)}
    orders = {space: rng.permutation(size) for space, size in sizes.items()}
    for space, order in orders.items():
        while sizes[space] > 1 and (order == np.arange(order.size)).any():
            order = orders[space] = rng.permutation(order.size)
    return orders


def _check_permuted(model):
    assign_random(model)
    before = model.get_weights()
    spaces = channel_spaces(model)
    permutations = _permutations(spaces)
    assert permutations
    copy = permute_channels(model, spaces, permutations)
    assert _difference(model, copy) < 1e-4
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    moved = {space for space, order in permutations.items() if order.size > 1}
    for layer, twin in zip(_flat(model), _flat(copy), strict=True):
        axes = [list(a.items()) for a in spaces.weights(layer).values()]
        touched = any(moved.intersection(s) for a in axes for _, s in a)
        same = all(map(np.array_equal, layer.get_weights(), twin.get_weights()))
        assert same != touched, layer.name
    return spaces, permutations, copy


def _flat(model):
    flat = model._flatten_layers(include_self=False)
    return [x for x in flat if x.weights and not isinstance(x, keras.Model)]


def _chain(*stack, shape=(9, 8, 3)):
    return keras.Sequential([keras.Input(shape), layers.Conv2D(6, 3), *stack])


def _inverted_residual():
    """As in MobileNet: depthwise, with a gate for each channel."""
    inputs = keras.Input((9, 8, 3))
    stream = layers.Conv2D(6, 3, padding="same", use_bias=False)(inputs)
    x = layers.Conv2D(7, 1)(stream)
    x = layers.ReLU(6.0)(x + 3.0) * (1 / 6) * x
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    gate = layers.Reshape((1, 1, 7))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(3, 1, activation="relu")(gate)
    x = layers.Multiply()([layers.Conv2D(7, 1, activation="sigmoid")(gate), x])
    x = layers.BatchNormalization()(layers.Conv2D(6, 1)(x))
    x = layers.GlobalMaxPooling2D()(layers.Add()([stream, x]))
    return keras.Model(inputs, layers.Dense(4)(x))


def _concatenated():
    inputs = keras.Input((9, 8, 3))
    one = layers.Conv2D(4, 3)(inputs)
    two = layers.Conv2D(5, 3)(inputs)
    x = layers.Concatenate()([two, inputs[:, 1:-1, 1:-1], one])
    x = layers.Activation("tanh")(layers.BatchNormalization()(x))
    x = layers.Concatenate()([x, layers.Conv2D(4, 3, padding="same")(x), two])
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    return keras.Model(inputs, layers.Dense(4)(layers.BatchNormalization()(x)))


def _nested():
    inner = keras.Input((7, 6, 6))
    x = layers.Conv2D(6, 3, padding="same")(layers.ReLU()(inner))
    inner = keras.Model(inner, [layers.Add()([inner, x]), x])
    head = keras.Sequential([layers.Conv2D(5, 3), layers.Flatten(), layers.Dense(4)])
    inputs = keras.Input((9, 8, 3))
    one, two = inner(layers.Conv2D(6, 3)(inputs))
    return keras.Model(inputs, head(one * two))


def _around_groups():
    return _chain(
        layers.Conv2D(8, 3, activation="relu"),
        GroupedConv2D(8, 3, groups=2),
        layers.Conv2D(7, 1),
        layers.Dense(4),
    )


SMALL = {
    "convolutions": lambda: _chain(
        layers.Conv2D(5, 3, strides=2, padding="same", use_bias=False),
        layers.Conv2D(4, 2, dilation_rate=2),
    ),
    "batch_norms": lambda: _chain(
        layers.BatchNormalization(),
        layers.Activation("silu"),
        keras_roots.layers.BatchNormalization(scale=False),
        layers.ELU(),
        layers.Conv2D(4, 3),
    ),
    "depthwise": lambda: _chain(
        layers.DepthwiseConv2D(3, activation="gelu"), layers.Conv2D(4, 3)
    ),
    "separable": lambda: _chain(
        layers.SeparableConv2D(5, 3, activation="tanh"), layers.Conv2D(4, 3)
    ),
    "transposed": lambda: _chain(
        layers.Conv2DTranspose(5, 3, strides=2), layers.Conv2D(4, 3)
    ),
    "prelu": lambda: _chain(
        layers.PReLU(shared_axes=[1, 2]),
        layers.PReLU(shared_axes=[3]),
        layers.PReLU(),
        layers.Conv2D(4, 3),
    ),
    "pooling": lambda: _chain(
        layers.ZeroPadding2D(2),
        layers.MaxPooling2D(3, 2, padding="same"),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.Cropping2D(1),
        LocalResponseNormalization(3, 0.5, "within_channel"),
        layers.Rescaling(2.0, -0.1),
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Conv2D(4, 1),
    ),
    "flatten": lambda: _chain(
        layers.AveragePooling2D(3, 2),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.PReLU(),
        layers.Dense(5, activation="relu"),
        layers.BatchNormalization(),
        layers.Dense(4),
    ),
    "dense_on_images": lambda: _chain(layers.Dense(5), layers.Dense(4)),
    "inverted_residual": _inverted_residual,
    "concatenated": _concatenated,
    "nested": _nested,
    "around_groups": _around_groups,
}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_every_free_space_at_once(make):
    model = make()
    spaces, permutations, copy = _check_permuted(model)
    # Every layer has to go along: with the weights that one had, outputs are others.
    for layer, twin in zip(_flat(model), _flat(copy), strict=True):
        weights = twin.get_weights()
        if not all(map(np.array_equal, layer.get_weights(), weights)):
            twin.set_weights(layer.get_weights())
            assert _difference(model, copy) > 1e-3, layer.name
            twin.set_weights(weights)


# Networks and their free spaces.
NETWORKS = {
    # All convolutions but the last.
    "nin": (
        lambda: keras_roots.RootNiN(
            1, input_shape=(8, 8, 3), classifier_activation=None
        ),
        8,
    ),
    # The stream of each of 3 stages, and between the convolutions of 9 blocks.
    "resnet20": (
        lambda: keras_roots.RootResNet20(
            input_shape=(8, 8, 3), classifier_activation=None
        ),
        3 + 9,
    ),
    # Stem, 5 streams, 10 expansions, 9 squeezes, and 2 of features.
    "mobilenet_v3": (
        lambda: keras.applications.MobileNetV3Small(
            weights=None,
            input_shape=(32, 32, 3),
            classes=10,
            classifier_activation=None,
        ),
        1 + 5 + 10 + 9 + 2,
    ),
    # Stem, 3 transitions, and 2 convolutions in each of 58 layers.
    "densenet121": (
        lambda: keras.applications.DenseNet121(
            weights=None,
            input_shape=(32, 32, 3),
            classes=10,
            classifier_activation=None,
        ),
        1 + 3 + 58 * 2,
    ),
}


def _network_cases():
    slow = {"densenet121": pytest.mark.slow}
    return [
        pytest.param(*case, id=name, marks=slow.get(name, ()))
        for name, case in NETWORKS.items()
    ]


@pytest.mark.parametrize("make,count", _network_cases())
def test_every_free_space_of_a_network(make, count):
    _, permutations, _ = _check_permuted(make())
    assert len(permutations) == count


def test_the_new_channel_is_the_old_one_at_the_index():
    model = _chain(layers.Conv2D(4, 3, name="b"))
    assign_random(model)
    spaces = channel_spaces(model)
    order = np.array([4, 2, 0, 1, 5, 3])
    copy = permute_channels(model, spaces, {spaces.output(model.layers[0]): order})
    (kernel, bias), (reader, last) = (layer.get_weights() for layer in _flat(model))
    (new_kernel, new_bias), (new_reader, new_last) = (
        layer.get_weights() for layer in _flat(copy)
    )
    np.testing.assert_array_equal(new_kernel, kernel[:, :, :, order])
    np.testing.assert_array_equal(new_bias, bias[order])
    np.testing.assert_array_equal(new_reader, reader[:, :, order])
    np.testing.assert_array_equal(new_last, last)


def test_one_space_alone():
    """Other parts of a composition, and other spaces of a layer, stay."""
    model = _concatenated()
    assign_random(model)
    spaces = channel_spaces(model)
    for space, order in _permutations(spaces).items():
        copy = permute_channels(model, spaces, {space: order})
        assert _difference(model, copy) < 1e-4


def test_pruned_weights_go_along():
    model = _inverted_residual()
    assign_random(model)
    model = prune(model, 0.5)
    spaces = channel_spaces(model)
    copy = permute_channels(model, spaces, _permutations(spaces))
    assert _difference(model, copy) < 1e-4
    masked = [x for x in _flat(copy) if hasattr(x, "kernel_constraint")]
    assert len(masked) == 6
    for layer in masked:
        assert isinstance(layer.kernel_constraint, FixedZeros)
        kernel = layer.get_weights()[0]
        np.testing.assert_array_equal(layer.kernel_constraint.mask, kernel != 0)
    moved = [
        not np.array_equal(
            layer.kernel_constraint.mask,
            model.get_layer(layer.name).kernel_constraint.mask,
        )
        for layer in masked
    ]
    assert all(moved)


def test_masks_of_other_weights_go_along():
    mask = np.arange(6) % 3 > 0
    model = _chain(
        layers.DepthwiseConv2D(
            1,
            depthwise_constraint=FixedZeros(mask.reshape(1, 1, 6, 1), "non_neg"),
            bias_constraint=FixedZeros(mask[::-1]),
            name="depthwise",
        ),
        layers.Conv2D(4, 1),
    )
    spaces = channel_spaces(model)
    order = np.array([4, 2, 0, 1, 5, 3])
    copy = permute_channels(model, spaces, {spaces.output(model.layers[0]): order})
    layer = copy.get_layer("depthwise")
    held = layer.depthwise_constraint
    np.testing.assert_array_equal(held.mask.ravel(), mask[order])
    assert isinstance(held.constraint, keras.constraints.NonNeg)
    np.testing.assert_array_equal(layer.bias_constraint.mask, mask[::-1][order])


def test_channels_first():
    """A CPU convolves channels last only: the weights tell, which have one layout."""

    def build():
        first = keras.config.image_data_format() == "channels_first"
        axis, sides = (1, [2, 3]) if first else (-1, [1, 2])
        inputs = keras.Input((3, 9, 8) if first else (9, 8, 3))
        one = layers.Conv2D(6, 3)(inputs)
        two = layers.SeparableConv2D(5, 3)(inputs)
        x = layers.Concatenate(axis=axis)([one, two])
        x = layers.PReLU(shared_axes=sides)(layers.BatchNormalization(axis=axis)(x))
        x = layers.Flatten()(layers.DepthwiseConv2D(3)(x))
        return keras.Model(inputs, layers.Dense(4)(x))

    last = build()
    *_, want = _check_permuted(last)
    keras.config.set_image_data_format("channels_first")
    model = build()
    for layer, twin in zip(_flat(model), _flat(last), strict=True):
        pairs = zip(twin.get_weights(), layer.weights, strict=True)
        layer.set_weights([value.reshape(weight.shape) for value, weight in pairs])
    spaces = channel_spaces(model)
    got = permute_channels(model, spaces, _permutations(spaces))
    for layer, twin in zip(_flat(got), _flat(want), strict=True):
        for one, other in zip(layer.get_weights(), twin.get_weights(), strict=True):
            np.testing.assert_array_equal(one.ravel(), other.ravel())


def test_half_precision_stays():
    model = keras.Sequential(
        [
            keras.Input((9, 8, 3)),
            layers.Conv2D(6, 3, dtype="bfloat16"),
            layers.Conv2D(4, 3, dtype="bfloat16"),
        ]
    )
    spaces = channel_spaces(model)
    copy = permute_channels(model, spaces, _permutations(spaces))
    assert {w.dtype for w in copy.weights} == {"bfloat16"}
    assert not np.array_equal(*(m.get_weights()[0] for m in (model, copy)))


def _first(spaces, model):
    return spaces.output(model.layers[0])


@pytest.mark.parametrize(
    "order",
    [
        np.arange(5),
        np.arange(7),
        np.zeros(6, "int64"),
        np.arange(1, 7),
        np.arange(6.0),
        np.arange(6)[None],
        range(0, 12, 2),
    ],
    ids=str,
)
def test_what_is_no_permutation_is_refused(order):
    model = _chain(layers.Conv2D(4, 3))
    spaces = channel_spaces(model)
    with pytest.raises(ValueError, match="(?s)every integer from 0 to 5.*Received: "):
        permute_channels(model, spaces, {_first(spaces, model): order})


def test_spaces_that_cannot_move_are_refused():
    model = _chain(GroupedConv2D(4, 3, groups=2, name="grouped"))
    spaces = channel_spaces(model)
    with pytest.raises(ValueError, match="pinned: grouped has filter groups"):
        permute_channels(model, spaces, {_first(spaces, model): np.arange(6)})
    for space in (99, -1, None, "conv2d"):
        with pytest.raises(ValueError, match="spaces of the model.*Received: "):
            permute_channels(model, spaces, {space: np.arange(6)})


def test_spaces_of_another_model_are_refused():
    model, other = (_chain(layers.Conv2D(4, 3, name="b")) for _ in range(2))
    with pytest.raises(ValueError, match="`spaces`.*of a copy.*Received: "):
        permute_channels(model, channel_spaces(other), {})
