"""Kernels with groups fitted to the responses of the dense network."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots.groups import carry_over, refit
from keras_roots.groups.rootify import rootify


def _responsive(seed=0):
    """Convolutions of inputs that are few signals in many channels."""
    model = helpers.chain(
        helpers.same_conv(8, 1, "spread", use_bias=False),
        helpers.same_conv(12, 3, "middle", activation="relu", strides=2),
        helpers.same_conv(6, 1, "point"),
        helpers.same_conv(6, 3, "last", use_bias=False, padding="valid"),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    )
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        layer.set_weights([generator.uniform(0.1, 1, shape) for shape in shapes])
    return model


def test_responses_are_fitted_exactly_where_every_group_sees_all_there_is_to_see():
    """Eight channels of three colours: any four of them hold all three, here even two
    groups of four do."""
    model = _responsive()
    images = helpers.pixels(40, 16)
    made = rootify(model, 2, layers=["middle"], carry_over="responses", images=images)
    assert made.get_layer("middle").groups == 2
    fresh = np.random.default_rng(9).uniform(0, 255, (5, 16, 16, 3)).astype("f")
    wanted = np.asarray(model(fresh))
    near = np.abs(np.asarray(made(fresh)) - wanted).max() / np.ptp(wanted)
    sliced = rootify(model, 2, layers=["middle"], carry_over="energy")
    far = np.abs(np.asarray(sliced(fresh)) - wanted).max() / np.ptp(wanted)
    assert near < 0.02 < far


def test_responses_are_the_least_squares_of_numpy():
    """A layer without bias before BatchNorm, which takes up the constant."""
    model = _responsive(seed=1)
    images = helpers.pixels(30, 16)
    grouped = carry_over.divide(model, {"last": 2})
    refit.refit(model, grouped, ["last"], images)
    inputs, answers = (
        np.asarray(keras.Model(model.inputs[0], model.get_layer(n).output)(images), "d")
        for n in ("point", "last")
    )
    patches = np.lib.stride_tricks.sliding_window_view(inputs, (3, 3), axis=(1, 2))
    patches = patches.transpose(0, 1, 2, 4, 5, 3)  # (n, y, x, 3, 3, channels)
    kernel = np.asarray(grouped.get_layer("last").kernel, "float64")
    means = [m.layers[-3].get_weights()[2] for m in (model, grouped)]
    for group in range(2):
        own = slice(3 * group, 3 * group + 3)
        seen = patches[..., own].reshape(-1, 27)
        seen = np.concatenate([seen, np.ones((len(seen), 1))], axis=1)
        wanted = answers[..., own].reshape(-1, 3)
        fit = np.linalg.lstsq(seen, wanted, rcond=None)[0]
        best = np.sqrt(np.mean((seen @ fit - wanted) ** 2))
        weights = np.concatenate(
            [kernel[..., own].reshape(27, 3), [(means[0] - means[1])[own]]]
        )
        found = np.sqrt(np.mean((seen @ weights - wanted) ** 2))
        assert best <= found < best + 0.01 * np.std(wanted)
        plain = model.get_layer("last").kernel[..., own, own]
        sliced = seen[:, :27] @ np.asarray(plain).reshape(27, 3)
        assert found < 0.5 * np.sqrt(np.mean((sliced - wanted) ** 2))


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_responses_are_fitted_in_float32(precision):
    """The exact fit is found, though the network answers in 16 bits."""
    model = _responsive()
    half = keras.models.clone_model(
        model,
        clone_function=lambda layer: layer.__class__.from_config(
            {**layer.get_config(), "dtype": precision}
        ),
    )
    half.set_weights(model.get_weights())
    images = helpers.pixels(40, 16) / 255
    made = rootify(half, 2, layers=["middle"], carry_over="responses", images=images)
    assert made.get_layer("middle").groups == 2
    assert made.get_layer("middle").dtype_policy.name == precision
    np.testing.assert_allclose(
        np.asarray(made(images), "float32"), np.asarray(model(images)), rtol=0.05
    )


@pytest.mark.parametrize("how", ["energy", "responses"])
def test_weights_that_are_no_numbers_are_named(how):
    model = _responsive()
    middle = model.get_layer("middle")
    middle.set_weights([np.full(w.shape, np.nan) for w in middle.get_weights()])
    images = helpers.pixels(2, 16) if how == "responses" else None
    with pytest.raises(ValueError, match="`model` must .* layer 'middle'"):
        rootify(model, 2, layers=["middle"], carry_over=how, images=images)


def test_responses_that_are_no_numbers_are_named():
    model = _responsive()
    before = model.get_layer("spread")
    before.set_weights([np.full(w.shape, np.nan) for w in before.get_weights()])
    with pytest.raises(ValueError, match="`model` must answer `images`.*'middle'"):
        rootify(model, 2, carry_over="responses", images=helpers.pixels(2, 16))
