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


def test_a_copied_lambda_keeps_its_name_and_settings():
    copy = surgery.rewrite(_lambda(), lambda layer: None)
    assert copy.get_layer("own").compute_dtype == "float32"
    assert [x.arguments for x in copy.layers if isinstance(x, layers.Lambda)] == [
        {},
        {"factor": 3.0},
        {},
    ]


def _twice(x):
    return 2 * x


class _Largest(keras.regularizers.Regularizer):
    def __call__(self, x):
        return keras.ops.max(x)

    def get_config(self):
        return {}


class _Clipped(keras.constraints.Constraint):
    def __call__(self, w):
        return keras.ops.clip(w, -1, 1)


class _Halves(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.full(shape, 0.5, dtype)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize(
    "own",
    [
        {"activation": lambda x: 3 * x},
        {"activation": _twice},
        {"kernel_regularizer": _Largest()},
        {"kernel_constraint": _Clipped()},
        {"kernel_initializer": _Halves()},
    ],
    ids=["lambda", "function", "regularizer", "constraint", "initializer"],
)
def test_what_keras_does_not_find_by_name_is_copied(own):
    model = keras.Sequential([keras.Input((8, 8, 3)), _conv(4, 3, **own)])
    ((name, part),) = own.items()
    for copy in (
        surgery.rewrite(model, lambda layer: None),
        surgery.reconfigure(model, lambda layer: {"name": "other"}),
    ):
        assert getattr(copy.layers[-1], name) is part
        np.testing.assert_array_equal(
            copy.predict(_images(), verbose=0), model.predict(_images(), verbose=0)
        )
        assert [float(x) for x in copy.losses] == [float(x) for x in model.losses]


def test_what_keras_finds_by_name_is_made_anew():
    regularizer = keras.regularizers.L2(0.1)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), _conv(4, 3, kernel_regularizer=regularizer)]
    )
    copied = surgery.rewrite(model, lambda layer: None).layers[-1].kernel_regularizer
    assert copied is not regularizer
    assert float(copied.l2) == pytest.approx(0.1)


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


class _Forgetful(layers.Conv2D):
    """A convolution whose configuration leaves out an argument."""

    def __init__(self, filters, kernel_size, factor=1.0, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.factor = factor

    def call(self, inputs):
        return self.factor * super().call(inputs)


class _Whole(_Forgetful):
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize("kind", [_Forgetful, _Whole])
def test_layers_that_would_forget_an_argument_are_refused(kind, factor):
    layer = kind(4, 3, factor=factor, name="own")
    model = keras.Sequential([keras.Input((6, 6, 3)), layer])
    if kind is _Forgetful and factor != 1.0:
        message = "'own', a _Forgetful.* its get_config leaves out factor"
        with pytest.raises(ValueError, match=message):
            surgery.rewrite(model, lambda layer: None)
        return
    copy = surgery.rewrite(model, lambda layer: None)
    images = np.random.default_rng(1).normal(size=(2, 6, 6, 3))
    np.testing.assert_allclose(copy(images), model(images), rtol=1e-5)


def test_lora_is_merged_in_the_kernel():
    layer = layers.Conv2D(4, 3, activation=layers.PReLU())
    model = keras.Sequential([keras.Input((6, 6, 3)), layer])
    images = np.random.default_rng(1).normal(size=(2, 6, 6, 3))
    model(images)  # builds the activation
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.random.default_rng(0).normal(size=(2, 4)))
    config, weights = surgery.merged(layer)
    assert [w.shape for w in weights] == [(3, 3, 3, 4), (4,), (4, 4, 4)]
    new = surgery.Replacement([layers.Conv2D.from_config(config)], [weights])
    copy = surgery.rewrite(model, lambda each: new if each is layer else None)
    assert not copy.layers[1].lora_enabled
    np.testing.assert_allclose(copy(images), model(images), rtol=1e-4, atol=1e-5)


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
