"""SGD whose rate is lower for the body of a network."""

import keras
import numpy as np
import pytest

from keras_roots.training.trainer.optimizer import SGD


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="tanh", name="body"),
            keras.layers.Dense(3, name="head"),
        ]
    )


def trained(optimizer, steps=3):
    """Weights of body and head after some steps."""
    model = network()
    random = np.random.default_rng(1)
    x, y = random.normal(size=(8, 4)), random.normal(size=(8, 3))
    model.compile(optimizer, "mse")
    model.fit(x, y, batch_size=8, epochs=steps, shuffle=False, verbose=0)
    return [np.array(weight) for weight in model.get_weights()]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_body_has_a_part_of_the_rate(momentum):
    start = network().get_weights()
    plain = trained(keras.optimizers.SGD(0.1, momentum=momentum), 1)
    slow = trained(SGD(0.1, momentum=momentum, heads=[2, 3], body_rate=0.25), 1)
    for part, (before, full, found) in enumerate(zip(start, plain, slow, strict=True)):
        share = 0.25 if part < 2 else 1.0
        np.testing.assert_allclose(found, before + share * (full - before), atol=1e-6)


def test_the_body_is_frozen_at_first():
    start = network().get_weights()
    how = {"momentum": 0.9, "heads": [2, 3], "frozen_steps": 2}
    two, three = (trained(SGD(0.1, **how), steps) for steps in (2, 3))
    for before, found, later in zip(start[:2], two[:2], three[:2], strict=True):
        np.testing.assert_array_equal(found, before)
        assert np.abs(later - before).max() > 1e-5
    assert np.abs(two[2] - start[2]).max() > 1e-3


def test_all_heads_and_nothing_frozen_is_plain():
    plain = trained(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True))
    found = trained(SGD(0.1, momentum=0.9, nesterov=True, heads=range(4)))
    for one, two in zip(plain, found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_it_is_serialised():
    optimizer = SGD(0.1, heads=[2, 3], body_rate=0.5, frozen_steps=7)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is SGD
    assert (again.heads, again.body_rate, again.frozen_steps) == ([2, 3], 0.5, 7)
