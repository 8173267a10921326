import re

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.regularizers.attach import (
    PAPER_LAYERS,
    RegularizerSum,
    paper_layers,
    relative_force,
    with_regularizer,
    without_regularizers,
)
from keras_roots.regularizers.force import ForceRegularizer


def network():
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            keras.layers.Conv2D(8, 3, groups=2, name="inner_conv"),
        ],
        name="inner",
    )
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1, name="first", kernel_regularizer="l2")(inputs)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.Flatten()(inner(x))
    outputs = keras.layers.Dense(3, name="dense", bias_regularizer="l1")(x)
    return keras.Model(inputs, outputs)


def force_of(layer):
    regularizer = getattr(layer, "kernel_regularizer", None)
    if isinstance(regularizer, RegularizerSum):
        regularizer = regularizer.regularizers[-1]
    return regularizer if isinstance(regularizer, ForceRegularizer) else None


def test_same_function_and_what_there_was_stays():
    model = network()
    forced = with_regularizer(model, ForceRegularizer(0.1, "l1"))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    np.testing.assert_array_equal(forced(images), model(images))
    first, inner = forced.get_layer("first"), forced.get_layer("inner").layers[-1]
    assert force_of(first).groups == 1
    assert force_of(inner).groups == 2
    assert force_of(inner).norm == "l1"
    assert isinstance(first.kernel_regularizer.regularizers[0], keras.regularizers.L2)
    assert force_of(forced.get_layer("dense")) is None
    assert force_of(forced.get_layer("depthwise")) is None
    kernel = keras.ops.convert_to_numpy(first.kernel)
    want = 0.01 * float((kernel**2).sum())
    want += 0.01 * float(np.abs(forced.get_layer("dense").bias).sum())
    assert float(sum(forced.losses)) == pytest.approx(want, rel=1e-5)
    assert force_of(model.get_layer("first")) is None


@pytest.mark.parametrize(
    "layers, names",
    [
        (["first"], {"first"}),
        (lambda layer: layer.groups == 2, {"inner_conv"}),
        (("first", "inner_conv"), {"first", "inner_conv"}),
        (None, {"first", "inner_conv"}),
    ],
)
def test_chosen_layers(layers, names):
    forced = with_regularizer(network(), ForceRegularizer(0.1), layers)
    found = {layer.name for layer in forced._flatten_layers() if force_of(layer)}
    assert found == names


def test_a_function_of_the_layer_gives_the_regularizer():
    strengths = {"first": 0.25}

    def regularizer(layer):
        if layer.name in strengths:
            return ForceRegularizer(strengths[layer.name])
        return None

    forced = with_regularizer(network(), regularizer)
    assert force_of(forced.get_layer("first")).strength == 0.25
    assert forced.get_layer("inner").layers[-1].kernel_regularizer is None


def test_without_regularizers_undoes_it_and_a_file_keeps_it(tmp_path):
    forced = with_regularizer(network(), ForceRegularizer(0.1))
    forced.save(tmp_path / "forced.keras")
    loaded = keras.models.load_model(tmp_path / "forced.keras")
    assert force_of(loaded.get_layer("first")).strength == 0.1
    plain = without_regularizers(loaded)
    assert not plain.losses
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    np.testing.assert_array_equal(plain(images), forced(images))
    plain.save(tmp_path / "plain.keras")
    assert "keras_roots" not in str(plain.get_config())


def test_sums_add_and_flatten():
    l1, l2 = keras.regularizers.L1(0.1), keras.regularizers.L2(0.2)
    both = RegularizerSum([RegularizerSum([l1, l2]), "l2"])
    assert len(both.regularizers) == 3
    x = np.array([1.0, -2.0], "float32")
    assert float(both(x)) == pytest.approx(0.3 + 1.0 + 0.05)
    copy = keras.regularizers.deserialize(keras.regularizers.serialize(both))
    assert float(copy(x)) == float(both(x))


# By the paper: all of ConvNet's, the 3x3s of ResNet-20's blocks, three of AlexNet's,
# every one of GoogLeNet's (57 convolutions without the auxiliary heads').
COUNTS = {
    "root_convnet": 3,
    "root_resnet20": 18,
    "root_alexnet": 3,
    "root_googlenet": 57,
}


@pytest.mark.parametrize("family", PAPER_LAYERS)
def test_the_papers_layers(family):
    model = keras_roots.create_model(family, root=1)
    chosen = paper_layers(family)
    convolutions = [
        layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    assert sum(map(chosen, convolutions)) == COUNTS[family]


def test_relative_force_is_in_proportion_to_the_gradient():
    """Lengths of the gradients by hand: finite differences of the loss."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 4, 4, 2)).astype("float32")
    targets = rng.normal(size=(8, 4, 4, 3)).astype("float32")
    layer = keras.layers.Conv2D(3, 1, name="conv", kernel_regularizer="l2")
    model = keras.Sequential([keras.Input((4, 4, 2)), layer])
    kernel = keras.ops.convert_to_numpy(layer.kernel).astype("float64")

    def loss(kernel, batch):
        outputs = images[batch].astype("float64") @ kernel[0, 0]
        return ((outputs - targets[batch]) ** 2).mean()

    lengths = []
    for batch in (slice(0, 4), slice(4, 8)):
        gradient = np.zeros_like(kernel)
        for index in np.ndindex(kernel.shape):
            nudge = np.zeros_like(kernel)
            nudge[index] = 1e-5
            rise = loss(kernel + nudge, batch) - loss(kernel - nudge, batch)
            gradient[index] = rise / 2e-5
        lengths.append(np.linalg.norm(gradient))
    force = relative_force(model, -0.5, images, targets, "mse", batch_size=4, norm="l1")
    got = force(layer)
    length = np.linalg.norm(np.ravel(ForceRegularizer(1.0, "l1").force(layer.kernel)))
    assert got.norm == "l1"
    assert got.strength * length == pytest.approx(-0.5 * np.mean(lengths), rel=1e-3)
    np.testing.assert_array_equal(layer.kernel, kernel.astype("float32"))
    assert force_of(with_regularizer(model, force).get_layer("conv")) is not None


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: with_regularizer(
                keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]),
                ForceRegularizer(1.0),
            ),
            "has no convolutions",
        ),
        (
            lambda: with_regularizer(network(), ForceRegularizer(1.0), ["fist"]),
            "first, inner/inner_conv. Received: fist",
        ),
        (
            lambda: with_regularizer(network(), ForceRegularizer(1.0), "first"),
            re.escape("a single layer is ['its name']"),
        ),
        (
            lambda: with_regularizer(network(), ForceRegularizer(1.0), lambda _: False),
            "a choice of none",
        ),
        (lambda: with_regularizer(network(), "l2"), "`regularizer` must be"),
        (
            lambda: with_regularizer(keras.Model(), ForceRegularizer(1.0)),
            "functional or Sequential",
        ),
        (lambda: paper_layers("root_nin"), "`family` must be one of"),
        (
            lambda: relative_force(
                network(), 1.0, np.ones((2, 8, 8, 3)), np.ones((2, 3)), "mse"
            ),
            "2 images, 2 targets, batch_size=128",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
