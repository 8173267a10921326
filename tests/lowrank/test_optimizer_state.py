"""The state of an optimiser, carried over to smaller kernels in mid-training."""

import keras
import numpy as np
import pytest

from keras_roots import shrink

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "plain": lambda: keras.optimizers.SGD(0.1),
    "adafactor": lambda: keras.optimizers.Adafactor(0.01),  # of kinds not known
    "ema": lambda: keras.optimizers.AdamW(0.01, use_ema=True),
}


def _state(model, kind=""):
    """What the optimiser keeps: pairs of a name and an array, in order."""
    return [
        (variable.path.split("/")[-1], keras.ops.convert_to_numpy(variable))
        for variable in model.optimizer.variables
        if kind in variable.path
    ]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on(decomposed, batch, name):
    model = decomposed()
    model.compile(OPTIMIZERS[name](), "mse", metrics=["mae"])
    model.fit(*batch, batch_size=4, epochs=2, verbose=0)
    model.optimizer.learning_rate = 0.005
    small = shrink(model, 0.2)
    assert small.get_layer("conv_basis").filters < 12
    assert int(small.optimizer.iterations) == 4
    assert float(small.optimizer.learning_rate) == pytest.approx(0.005)
    assert type(small.optimizer) is type(model.optimizer)
    for (key, before), (same, after) in zip(_state(model), _state(small), strict=True):
        assert same == key
        if before.shape == after.shape and name != "adafactor":
            np.testing.assert_array_equal(after, before)
        else:
            assert np.isfinite(after).all()
            assert (before < 0).any() or (after >= 0).all()
            assert before.any() == after.any()
    history = small.fit(*batch, batch_size=4, epochs=3, verbose=0).history
    assert int(small.optimizer.iterations) == 10
    assert history["loss"][-1] < history["loss"][0]
    assert "mae" in history
    assert int(model.optimizer.iterations) == 4


def test_momentum_follows_the_gradient(decomposed, batch):
    """One step, then shrink: as if the small model had taken that step's gradient."""
    model = decomposed()
    first = model.get_layer("conv_basis")
    scale = np.linspace(0.5, 2, 12)  # no longer orthonormal, as after training
    first.set_weights([first.get_weights()[0] * scale])
    fresh = shrink(model, 1e-9)
    weights = model.get_weights()
    for network in (model, fresh):
        network.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
        network.fit(*batch, batch_size=8, verbose=0)
    model.set_weights(weights)
    small = shrink(model, 1e-9)
    expected, found = _state(fresh, "momentum"), _state(small, "momentum")
    assert len(expected) == len(model.trainable_variables)
    for (key, values), (same, carried) in zip(expected, found, strict=True):
        assert same == key
        np.testing.assert_allclose(carried, values, atol=2e-5)


def test_squares_are_carried_as_of_independent_gradients(decomposed, batch):
    """By the squares of what carries the gradients: pca's basis only turns."""
    model = decomposed(groups=1)
    model.compile(keras.optimizers.Adam(), "mse")
    model.fit(*batch, batch_size=8, verbose=0)
    small = shrink(model, 0.2)
    old = model.get_layer("conv_basis").get_weights()[0].reshape(-1, 6)
    new = small.get_layer("conv_basis").get_weights()[0].reshape(-1, 2)
    turn = np.linalg.lstsq(old, new, rcond=None)[0]
    np.testing.assert_allclose(turn.T @ turn, np.eye(2), atol=1e-4)
    ((_, before),) = _state(model, "conv_kernel_velocity")
    ((_, after),) = _state(small, "conv_kernel_velocity")
    expected = (turn**2).T @ before.reshape(6, 16)
    np.testing.assert_allclose(after.reshape(2, 16), expected, rtol=1e-2, atol=1e-9)


def test_custom_losses_stay(decomposed, batch):
    model = decomposed()
    model.compile("sgd", lambda truth, outputs: keras.ops.abs(truth - outputs))
    small = shrink(model, 0.2)
    assert np.isfinite(small.train_on_batch(*batch))
