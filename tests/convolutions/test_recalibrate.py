"""Recalibrated moving statistics, against NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.convolutions.recalibrate import recalibrate
from keras_roots.graph.surgery import rewrite
from keras_roots.layers.batch_normalization import BatchNormalization

KINDS = {"keras": layers.BatchNormalization, "keras_roots": BatchNormalization}


def _images(count=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(2, 3, (count, 5, 5, 4)).astype("float32")


def _statistics(model, name="norm"):
    norm = model.get_layer(name)
    return norm.moving_mean.numpy(), norm.moving_variance.numpy()


def _population(values):
    """Mean and variance over all but the channels."""
    flat = np.asarray(values, "float64").reshape(-1, np.shape(values)[-1])
    return flat.mean(0), flat.var(0)


def _assert_close(found, want):
    np.testing.assert_allclose(found[0], want[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], want[1], rtol=1e-4, atol=1e-5)


def _conv_norm(norm=layers.BatchNormalization, groups=1, **kwargs):
    inputs = keras.Input((5, 5, 4))
    x = layers.Conv2D(6, 3, groups=groups, name="conv")(inputs)
    x = norm(name="norm", **kwargs)(x)
    return keras.Model(inputs, layers.ReLU()(x), name="conv_norm")


@pytest.mark.parametrize("norm", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "kwargs", [{}, {"groups": 2}, {"scale": False, "center": False}, {"axis": 3}]
)
@pytest.mark.parametrize("batch_size", [100, 10, 4, 1])
def test_statistics_are_those_of_the_population(norm, kwargs, batch_size):
    model = _conv_norm(norm, **kwargs)
    images = _images()
    want = _population(model.get_layer("conv")(images))
    _assert_close(_statistics(recalibrate(model, images, batch_size)), want)


def test_only_statistics_change_and_the_model_stays():
    model = _conv_norm()
    before = model.get_weights()
    copy = recalibrate(model, _images())
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    for weight, old in zip(copy.weights, before, strict=True):
        changed = "moving" in weight.path
        assert (np.asarray(weight) != old).any() == changed, weight.path
    assert type(copy.get_layer("conv")) is layers.Conv2D
    assert copy.name == model.name
    assert copy.trainable_weights


def test_recalibrating_undoes_what_shifted_the_statistics():
    """A scaled and shifted convolution is normalised away."""
    images = _images()
    model = recalibrate(_conv_norm(epsilon=1e-6), images)
    want = np.asarray(model(images))
    shifted = rewrite(model, lambda layer: None)
    kernel, bias = shifted.get_layer("conv").get_weights()
    shifted.get_layer("conv").set_weights([1.5 * kernel, bias + 3])
    assert np.abs(np.asarray(shifted(images)) - want).max() > 0.5
    np.testing.assert_allclose(
        np.asarray(recalibrate(shifted, images)(images)), want, atol=1e-4
    )


def test_a_layer_gets_what_normalised_batches_give():
    """In a chain each layer is normalised by its batch, with dropout off."""
    inputs = keras.Input((5, 5, 4))
    x = layers.BatchNormalization(name="first", beta_initializer="ones")(inputs)
    x = layers.ReLU()(layers.Dropout(0.5)(x, training=True))
    model = keras.Model(inputs, layers.BatchNormalization(name="second")(x))
    images = _images(6)
    found = recalibrate(model, images, batch_size=3)
    hidden = []
    for batch in (images[:3], images[3:]):
        mean, variance = _population(batch)
        hidden.append(np.maximum((batch - mean) / np.sqrt(variance + 1e-3) + 1, 0))
    _assert_close(_statistics(found, "first"), _population(images))
    _assert_close(_statistics(found, "second"), _population(np.concatenate(hidden)))


def test_nested_sequential_and_frozen():
    inner = keras.Sequential(
        [
            keras.Input((5, 5, 4)),
            layers.Conv2D(3, 1, name="conv"),
            BatchNormalization(name="norm"),
        ],
        name="inner",
    )
    inner.trainable = False
    model = keras.Sequential([keras.Input((5, 5, 4)), inner, layers.Flatten()])
    images = _images()
    copy = recalibrate(model, images)
    want = _population(inner.get_layer("conv")(images))
    _assert_close(_statistics(copy.get_layer("inner")), want)
    assert _statistics(inner)[1].tolist() == [1] * 3


def test_a_shared_layer_pools_its_calls():
    norm = layers.BatchNormalization(name="norm")
    inputs = keras.Input((5, 5, 4))
    outputs = layers.Add()([norm(inputs), norm(3.0 * inputs[:, :2] + 1.0)[:, :1]])
    images = _images()
    want = _population(
        np.concatenate([images.reshape(-1, 4), (3 * images[:, :2] + 1).reshape(-1, 4)])
    )
    found = recalibrate(keras.Model(inputs, outputs), images, batch_size=3)
    _assert_close(_statistics(found), want)


def test_nothing_to_recalibrate():
    inputs = keras.Input((5, 5, 4))
    x = layers.GroupNormalization(2)(layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, x)
    copy = recalibrate(model, _images())
    assert copy is not model
    for one, other in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = _conv_norm()
    images = _images()
    want = _population(np.asarray(model.get_layer("conv")(images), "float32"))
    found = _statistics(recalibrate(model, images, batch_size=4))
    np.testing.assert_allclose(found[0], want[0], atol=0.02)
    np.testing.assert_allclose(found[1], want[1], rtol=0.02)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 5, 5, 4)), "one image or more"),
        (np.zeros((2, 5, 5, 3)), r"\(n, 5, 5, 4\).*Received: .*\(2, 5, 5, 3\)"),
        (np.full((2, 5, 5, 4), np.inf), "finite"),
    ],
)
def test_images_that_do_not_fit(images, message):
    with pytest.raises(ValueError, match=f"(?s)`images`.*{message}"):
        recalibrate(_conv_norm(), images)


def test_impossible_batch_size():
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        recalibrate(_conv_norm(), _images(), batch_size=0)


def test_nan_weights():
    model = _conv_norm()
    conv = model.get_layer("conv")
    conv.set_weights([np.full((3, 3, 4, 6), np.nan), np.zeros(6)])
    with pytest.raises(ValueError, match="(?s)'norm'.*Received: NaN"):
        recalibrate(model, _images())


def test_layers_out_of_reach():
    inputs = keras.Input((5, 5, 4))
    wrapped = layers.TimeDistributed(layers.BatchNormalization(name="hidden"))
    with pytest.raises(ValueError, match=r"(?s)`model`.*\['hidden'\] out of reach"):
        recalibrate(keras.Model(inputs, wrapped(inputs)), _images())


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def test_subclassed_models():
    with pytest.raises(ValueError, match="functional or Sequential"):
        recalibrate(Subclassed(), _images())


def test_other_backend(run_python):
    code = """
import keras, numpy as np
from keras_roots.layers import BatchNormalization
from keras_roots.convolutions.recalibrate import recalibrate
assert keras.backend.backend() == "jax"
images = np.random.default_rng(0).normal(2, 3, (5, 4, 4, 3)).astype("float32")
for kind in (keras.layers.BatchNormalization, BatchNormalization):
    model = keras.Sequential([keras.Input((4, 4, 3)), kind(name="norm")])
    norm = recalibrate(model, images, batch_size=2).get_layer("norm")
    flat = images.reshape(-1, 3)
    np.testing.assert_allclose(norm.moving_mean, flat.mean(0), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, flat.var(0), rtol=1e-4)
"""
    run_python(code, KERAS_BACKEND="jax")


class _Negated(keras.layers.BatchNormalization):
    """A normalisation that computes something else."""


def test_subclasses_keep_their_statistics_with_a_warning():
    own, norm = _Negated(name="own"), keras.layers.BatchNormalization(name="norm")
    model = keras.Sequential([keras.Input((4, 4, 3)), own, norm])
    images = np.random.default_rng(0).normal(3, 1, (20, 4, 4, 3))
    with pytest.warns(UserWarning, match=r"\['own'\], the first of them a _Negated"):
        made = recalibrate(model, images)
    assert not np.any(made.get_layer("own").moving_mean)
    assert np.all(made.get_layer("norm").moving_mean)
