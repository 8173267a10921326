"""Rewriting models: layers replaced, weights carried over."""

import keras
import numpy as np
import pytest
from helpers import Subclassed
from keras import layers

from keras_roots.graph import surgery
from keras_roots.layers import FixedZeros


def _images(count=2):
    return np.random.default_rng(0).normal(size=(count, 8, 8, 3)).astype("float32")


def _conv(*args, **kwargs):
    return layers.Conv2D(*args, bias_initializer="normal", **kwargs)


def _plain():
    inputs = keras.Input((8, 8, 3))
    x = _conv(4, 3, name="target")(inputs)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.ReLU()(x), name="plain")


def _sequential():
    inner = keras.Sequential([_conv(4, 3, name="target"), layers.ReLU()], name="inner")
    return keras.Sequential([keras.Input((8, 8, 3)), inner, layers.Flatten()])


def _shared():
    inputs = keras.Input((8, 8, 3))
    layer = _conv(3, 3, padding="same", name="target")
    return keras.Model(inputs, layer(layer(inputs)))


def _operations():
    inputs = keras.Input((8, 8, 3))
    x = _conv(4, 3, name="target")(inputs)
    return keras.Model(inputs, keras.ops.mean(x * 2.0 + 1.0, axis=(1, 2)))


def _two_outputs():
    one, other = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    layer = _conv(4, 3, name="target")
    return keras.Model([one, other], [layer(one), layer(other) - layer(one)])


def _nested():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, _plain()(inputs))


def _by_name():
    inputs = keras.Input((8, 8, 3))
    outputs = _plain()(inputs=layers.ReLU(name="rectify")(inputs=inputs))
    return keras.Model(inputs, outputs)


def _shared_across():
    """A layer that two models in the model have in common."""
    layer = _conv(3, 3, padding="same", name="target")
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    one = keras.Model(first, layer(first), name="one")
    other = keras.Model(second, layers.ReLU()(layer(second)), name="other")
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, other(one(inputs)))


def _normalised():
    """A normalisation that was adapted, in a model in the model."""
    normalisation = layers.Normalization()
    normalisation.adapt(3 + 5 * _images(50))
    inner = keras.Sequential([keras.Input((8, 8, 3)), normalisation])
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, _conv(4, 3, name="target")(inner(inputs)))


def _lambda():
    """Python functions, which Keras does not make from a configuration."""
    offset = 2.0
    inputs = keras.Input((8, 8, 3))
    x = _conv(4, 3, name="target")(inputs)
    x = layers.Lambda(lambda x: keras.ops.abs(x) + offset, name="own")(x)
    x = layers.Lambda(_scaled, arguments={"factor": 3.0})(x)
    outputs = layers.Lambda(
        lambda x: x[..., :2], output_shape=lambda shape: (*shape[:-1], 2)
    )(x)
    return keras.Model(inputs, outputs)


def _scaled(x, factor):
    return x * factor


MODELS = {
    f.__name__: f
    for f in (
        _plain,
        _sequential,
        _shared,
        _operations,
        _nested,
        _by_name,
        _shared_across,
        _normalised,
        _lambda,
    )
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_copy_computes_the_same_with_weights_of_its_own(make):
    model = make()
    want = np.asarray(model(_images()))
    copy = surgery.rewrite(model, lambda layer: None)
    np.testing.assert_array_equal(np.asarray(copy(_images())), want)
    copy.set_weights([0 * weight for weight in copy.get_weights()])
    np.testing.assert_array_equal(np.asarray(model(_images())), want)
    assert copy.name == model.name
    assert len(copy.weights) == len(model.weights)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_one_layer_becomes_two(make):
    """A convolution and a 1x1 identity after it compute what the convolution did."""
    model = make()
    want = np.asarray(model(_images()))

    def replace(layer):
        if layer.name != "target":
            return None
        filters = layer.filters
        return surgery.Replacement(
            [
                layers.Conv2D(filters, 3, padding=layer.padding, name="first"),
                layers.Conv2D(filters, 1, use_bias=False, name="second"),
            ],
            [layer.get_weights(), [np.eye(filters)[None, None]]],
        )

    changed = surgery.rewrite(model, replace)
    np.testing.assert_allclose(np.asarray(changed(_images())), want, atol=1e-5)
    assert len(changed.weights) == len(model.weights) + 1


def test_a_layer_can_be_left_out():
    model = _plain()

    def replace(layer):
        if isinstance(layer, layers.ReLU):
            return surgery.Replacement([], [])
        return None

    changed = surgery.rewrite(model, replace)
    assert np.asarray(changed(_images())).min() < 0
    np.testing.assert_array_equal(
        np.maximum(np.asarray(changed(_images())), 0), np.asarray(model(_images()))
    )


def test_several_inputs_and_outputs():
    model = _two_outputs()
    copy = surgery.rewrite(model, lambda layer: None)
    batch = [_images(), _images()[::-1]]
    for one, other in zip(model(batch), copy(batch), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_reconfigured_layers_keep_their_weights():
    model = _plain()

    def change(layer):
        if layer.name == "target":
            return {"kernel_regularizer": keras.regularizers.L2(0.5)}
        return None

    changed = surgery.reconfigure(model, change)
    np.testing.assert_array_equal(
        np.asarray(changed(_images())), np.asarray(model(_images()))
    )
    kernel = np.asarray(model.get_layer("target").kernel)
    assert float(changed.losses[0]) == pytest.approx(0.5 * (kernel**2).sum(), rel=1e-5)
    assert not model.losses


def test_the_original_keeps_its_graph():
    model = _plain()
    surgery.rewrite(model, lambda layer: None)
    assert model.get_layer("target").output.shape == (None, 6, 6, 4)


def test_moving_statistics_are_carried_over():
    model = _plain()
    norm = model.layers[2]
    norm.set_weights([np.full(4, value) for value in (2.0, 1.0, 3.0, 4.0)])
    copy = surgery.rewrite(model, lambda layer: None)
    for one, other in zip(
        norm.get_weights(), copy.layers[2].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "model,message",
    [
        (Subclassed(), "functional or Sequential"),
        (keras.Sequential([layers.Conv2D(3, 3)]), "not built"),
        (layers.Conv2D(3, 3), "functional or Sequential"),
    ],
)
def test_what_has_no_graph_is_refused(model, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received: model="):
        surgery.rewrite(model, lambda layer: None)


def test_a_layer_called_by_name_can_be_left_out():
    def replace(layer):
        return surgery.Replacement([], []) if layer.name == "rectify" else None

    model = _by_name()
    inner = next(x for x in model.layers if isinstance(x, keras.Model))
    changed = surgery.rewrite(model, replace)
    np.testing.assert_array_equal(
        np.asarray(changed(_images())), np.asarray(inner(_images()))
    )


def test_channels_of_weights_and_masks_are_selected():
    mask = np.arange(6).reshape(1, 1, 2, 3) % 2 > 0
    layer = layers.Conv2D(3, 1, kernel_constraint=FixedZeros(mask, "non_neg"))
    layer.build((None, 4, 4, 2))
    kernel = np.arange(6.0).reshape(1, 1, 2, 3)
    layer.set_weights([kernel, np.arange(3)])
    indices = {"kernel": {-2: None, -1: np.array([2, 0])}, "bias": {-1: np.array([1])}}
    changed, weights = surgery.select(layer, indices)
    np.testing.assert_array_equal(weights[0], kernel[..., [2, 0]])
    np.testing.assert_array_equal(weights[1], [1])
    assert list(changed) == ["kernel_constraint"]
    np.testing.assert_array_equal(changed["kernel_constraint"].mask, mask[..., [2, 0]])
    assert isinstance(changed["kernel_constraint"].constraint, keras.constraints.NonNeg)


def test_new_layers_take_no_name_of_the_model():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="one")(inputs)
    model = keras.Model(inputs, layers.Dense(4, name="extra")(x))

    def replace(layer):
        new = [layers.Dense(4, name=name) for name in ("extra", layer.name)]
        weights = layer.get_weights()
        return surgery.Replacement(new, [[np.eye(4), np.zeros(4)], weights])

    copy = surgery.rewrite(model, replace)
    names = [layer.name for layer in copy.layers[1:]]
    assert names == ["extra_2", "one", "extra", "extra_3"]
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-5)
