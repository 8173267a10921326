"""Statistics of responses, against plain NumPy convolutions."""

import warnings

import helpers
import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.convolutions.responses import layer_responses
from keras_roots.layers.grouped_conv2d import GroupedConv2D


def _own(model, names, *args, **options):
    """Statistics of the layers' own filters."""
    requests = {name: (name, None) for name in names}
    return layer_responses(model, requests, *args, **options)


def _images(count=7, shape=(9, 9, 4), seed=0):
    return np.random.default_rng(seed).normal(1, 2, (count, *shape)).astype("float32")


def _respond(images, kernel, groups, strides):
    """Responses `[samples, filters]` of a convolution without padding, by loops."""
    height, width, channels, filters = kernel.shape
    rows = range(0, images.shape[1] - height + 1, strides)
    columns = range(0, images.shape[2] - width + 1, strides)
    kernel = kernel.astype("float64")
    found = np.zeros((len(images), len(rows), len(columns), filters))
    for out in range(filters):
        first = out // (filters // groups) * channels
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                patch = images[
                    :,
                    row : row + height,
                    column : column + width,
                    first : first + channels,
                ]
                found[:, i, j, out] = (patch * kernel[..., out]).sum((1, 2, 3))
    return found.reshape(-1, filters)


def _statistics(responses, groups):
    mean = responses.mean(0)
    centred = np.split(responses - mean, groups, axis=1)
    return mean, [group.T @ group / len(responses) for group in centred]


@pytest.mark.parametrize("kind", [layers.Conv2D, GroupedConv2D])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("use_bias", [True, False])
def test_mean_and_covariance(kind, groups, use_bias):
    layer = kind(
        6,
        3,
        strides=2,
        groups=groups,
        use_bias=use_bias,
        bias_initializer="random_normal",
        activation="relu",
        name="conv",
    )
    model = keras.Sequential([keras.Input((9, 9, 4)), layer, layers.ReLU()])
    images = _images()
    found = _own(model, ["conv"], images, batch_size=3)["conv"]
    responses = _respond(images, layer.get_weights()[0], groups, strides=2)
    mean, covariance = _statistics(responses, groups)
    np.testing.assert_allclose(found.mean, mean, atol=1e-5)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-4, atol=1e-5)
    assert found.covariance.dtype == "float64"


def test_a_layer_sees_what_the_layers_before_it_give():
    """Activations before it are applied, that of a layer looked at too."""
    first = layers.Conv2D(
        5, 2, activation="relu", bias_initializer="random_normal", name="first"
    )
    inner = keras.Sequential(
        [keras.Input((9, 9, 4)), first, layers.Dropout(0.9)], name="inner"
    )
    inputs = keras.Input((9, 9, 4))
    x = layers.BatchNormalization(name="norm")(inner(inputs))
    second = layers.Conv2D(3, 1, name="second")
    model = keras.Model(inputs, second(x))
    images = _images(count=4)
    found = _own(model, ["inner/first", "second"], images)
    assert list(found) == ["inner/first", "second"]
    kernel, bias = first.get_weights()
    responses = _respond(images, kernel, 1, strides=1)
    np.testing.assert_allclose(found["inner/first"].mean, responses.mean(0), atol=1e-5)
    hidden = np.maximum(responses + bias, 0) / np.sqrt(1 + 1e-3)
    mean, (covariance,) = _statistics(hidden @ second.get_weights()[0][0, 0], 1)
    np.testing.assert_allclose(found["second"].mean, mean, atol=1e-5)
    np.testing.assert_allclose(found["second"].covariance[0], covariance, atol=1e-5)


def test_the_model_stays_as_it_is():
    layer = layers.Conv2D(3, 3, activation="relu", name="conv")
    model = keras.Sequential([keras.Input((9, 9, 4)), layer])
    images = _images(count=2)
    want = np.asarray(model(images))
    _own(model, ["conv"], images)
    np.testing.assert_array_equal(np.asarray(model(images)), want)
    assert layer.activation is keras.activations.relu


def test_a_shared_layer_counts_every_call():
    conv = layers.Conv2D(4, 1, use_bias=False, name="conv")
    inputs = keras.Input((9, 9, 4))
    model = keras.Model(inputs, conv(conv(inputs)))
    images = _images(count=3)
    kernel = conv.get_weights()[0]
    once = _respond(images, kernel, 1, strides=1)
    both = np.concatenate([once, once @ kernel[0, 0]])
    found = _own(model, ["conv"], images, batch_size=2)["conv"]
    mean, (covariance,) = _statistics(both, 1)
    np.testing.assert_allclose(found.mean, mean, atol=1e-5)
    np.testing.assert_allclose(found.covariance[0], covariance, rtol=1e-4, atol=1e-5)


def test_a_layer_that_two_models_share_counts_in_both():
    """Under two names; its activation is applied in both, for the layers behind it."""
    shared = helpers.conv(4, 1, activation="tanh", name="conv")
    model = helpers.shared_by_two_models(shared)
    images = _images(count=3)
    conv, last = (model.get_layer(name) for name in ("one", "last"))
    kernel, bias = conv.get_layer("conv").get_weights()
    once = _respond(images, kernel, 1, strides=1)
    hidden = np.tanh(once + bias)
    twice = hidden @ kernel[0, 0]
    found = _own(model, ["one/conv", "last"], images)
    both = np.concatenate([once, twice]).mean(0)
    np.testing.assert_allclose(found["one/conv"].mean, both, atol=1e-5)
    answers = np.tanh(twice + bias) @ last.get_weights()[0][0, 0]
    np.testing.assert_allclose(found["last"].mean, answers.mean(0), atol=1e-5)


def test_large_maps_are_sampled():
    """A hundred of 1,600 positions: near the mean of all, and the same every time."""
    layer = layers.Conv2D(3, 1, use_bias=False, name="conv")
    model = keras.Sequential([keras.Input((40, 40, 4)), layer])
    images = _images(count=20, shape=(40, 40, 4))
    found, again, other = (
        _own(model, ["conv"], images, seed=seed)["conv"] for seed in (0, 0, 1)
    )
    mean, (covariance,) = _statistics(
        _respond(images, layer.get_weights()[0], 1, strides=1), 1
    )
    deviation = np.sqrt(np.diag(covariance) / 2000)
    assert (np.abs(found.mean - mean) < 5 * deviation).all()
    assert (found.mean != mean).any()
    np.testing.assert_array_equal(found.mean, again.mean)
    assert (found.mean != other.mean).any()


def _model():
    stack = [
        layers.Conv2D(3, 3, name="conv"),
        layers.Flatten(name="flatten"),
        layers.Dense(2),
    ]
    return keras.Sequential([keras.Input((9, 9, 4)), *stack])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 9, 9, 4)), "one image or more"),
        (np.zeros((2, 9, 8, 4)), r"\(n, 9, 9, 4\).*Received: .*\(2, 9, 8, 4\)"),
        (np.zeros((9, 9, 4)), r"\(n, 9, 9, 4\)"),
        (np.full((2, 9, 9, 4), np.nan), "finite"),
        (np.full((2, 9, 9, 4), "cat"), r"\(n, 9, 9, 4\)"),
    ],
)
def test_images_that_do_not_fit(images, message):
    with pytest.raises(ValueError, match=f"(?s)`images`.*{message}"):
        _own(_model(), ["conv"], images)


@pytest.mark.parametrize("name", ["missing", "flatten", "inner/conv"])
def test_unknown_layers(name):
    with pytest.raises(ValueError, match=rf"(?s)\['conv', .*Received: \['{name}'\]"):
        _own(_model(), ["conv", name], _images())


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_impossible_batch_size(batch_size):
    with pytest.raises(ValueError, match=f"Received: batch_size={batch_size}"):
        _own(_model(), ["conv"], _images(), batch_size)


def test_nan_weights():
    model = _model()
    conv = model.get_layer("conv")
    conv.set_weights([np.full_like(conv.kernel, np.nan), np.zeros(3)])
    with pytest.raises(ValueError, match="(?s)`images`.*Received: .*NaN.*'conv'"):
        _own(model, ["conv"], _images())


def test_several_inputs():
    inputs = [keras.Input((9, 9, 4)), keras.Input((9, 9, 4))]
    conv = layers.Conv2D(3, 1, name="conv")
    model = keras.Model(inputs, conv(layers.Subtract()(inputs)))
    one, two = _images(), np.square(_images())
    found = _own(model, ["conv"], (one, two))["conv"]
    responses = (one - two) @ conv.get_weights()[0][0, 0]
    np.testing.assert_allclose(found.mean, responses.mean((0, 1, 2)), atol=1e-5)
    with pytest.raises(ValueError, match="`images` must be a tuple of arrays"):
        _own(model, ["conv"], one)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("strides", [1, 2])
def test_other_filters_in_the_place_of_a_layer(groups, strides):
    """Columns of two filters of the height of the kernel, against plain loops."""
    layer = layers.Conv2D(6, 3, strides=strides, groups=groups, name="conv")
    model = keras.Sequential([keras.Input((5, 7, 4)), layer])
    images = _images(shape=(5, 7, 4))
    basis = np.random.default_rng(1).normal(size=(3, 1, 4 // groups, 2 * groups))
    requests = {"own": ("conv", None), "other": ("conv", basis)}
    found = layer_responses(model, requests, images)
    responses = _respond(images, layer.get_weights()[0], groups, strides)
    # Each of the three columns of a patch: what comes before it is left out.
    columns = []
    for column in range(3):
        last = images.shape[2] - (2 - column)
        answers = _respond(images[:, :, column:last], basis, groups, 1)
        answers = answers.reshape(len(images), 3, 5, -1)[:, ::strides, ::strides]
        columns.append(answers.reshape(len(responses), groups, 2))
    seen = np.stack(columns, axis=-1).reshape(len(responses), groups, 6)
    wanted = responses.reshape(len(responses), groups, -1)
    seen_mean, wanted_mean = seen.mean(0), wanted.mean(0)
    other = found["other"]
    np.testing.assert_allclose(other.mean, seen_mean.ravel(), atol=1e-4)
    np.testing.assert_allclose(other.wanted, wanted_mean.ravel(), atol=1e-4)
    assert other.variance == pytest.approx(wanted.var(0).sum(), rel=1e-5)
    for group in range(groups):
        x, y = (seen - seen_mean)[:, group], (wanted - wanted_mean)[:, group]
        count = len(responses)
        np.testing.assert_allclose(other.covariance[group], x.T @ x / count, rtol=2e-4)
        np.testing.assert_allclose(
            other.products[group], x.T @ y / count, rtol=2e-4, atol=1e-3
        )
    np.testing.assert_allclose(found["own"].mean, wanted_mean.ravel(), atol=1e-4)
    assert found["own"].wanted is None


def test_other_backend(run_python):
    code = """
import keras, numpy as np
from keras_roots.convolutions.responses import layer_responses
assert keras.backend.backend() == "jax"
layer = keras.layers.Conv2D(6, 1, groups=2, activation="relu", name="conv")
model = keras.Sequential([keras.Input((4, 4, 8)), layer])
images = np.random.default_rng(0).normal(size=(5, 4, 4, 8)).astype("float32")
found = layer_responses(model, {0: ("conv", None)}, images)[0]
kernel = layer.get_weights()[0][0, 0]
flat = images.reshape(-1, 8).astype("float64")
responses = np.concatenate(
    [flat[:, :4] @ kernel[:, :3], flat[:, 4:] @ kernel[:, 3:]], axis=1
)
np.testing.assert_allclose(found.mean, responses.mean(0), atol=1e-5)
np.testing.assert_allclose(
    found.covariance[1], np.cov(responses[:, 3:].T, bias=True), atol=1e-4
)
"""
    run_python(code, KERAS_BACKEND="jax")


def test_too_few_images_for_a_layer():
    """Ten positions cannot tell how twelve filters vary together."""
    model = keras.Sequential(
        [keras.Input((5, 2, 4)), layers.Conv2D(12, 1, name="wide")]
    )
    images = np.random.default_rng(0).normal(size=(2, 5, 2, 4))
    with pytest.warns(UserWarning, match="1 of them give layer 'wide' 10 .* 2 images"):
        _own(model, ["wide"], images[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        _own(model, ["wide"], images)


@pytest.mark.parametrize("shape", [(6,), (5, 6), (3, 4, 6)])
def test_dense_layers(shape):
    """All positions are seen where there are no more than a hundred."""
    layer = layers.Dense(4, activation="softmax", name="fc", bias_initializer="ones")
    model = keras.Sequential([keras.Input(shape), layer])
    images = np.random.default_rng(0).normal(size=(30, *shape)).astype("float32")
    answers = images.reshape(-1, 6).astype("float64") @ layer.get_weights()[0]
    found = _own(model, ["fc"], images)["fc"]
    np.testing.assert_allclose(found.mean, answers.mean(0), atol=1e-5)
    covariance = np.cov(answers.T, bias=True)[None]
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-5)
