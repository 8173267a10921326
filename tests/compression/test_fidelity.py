"""Outputs of a network held against those of another."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots.compression.fidelity import (
    Fidelity,
    fidelity,
    file_outputs,
    keras_outputs,
)
from keras_roots.compression.meet_budget import export_bytes


def test_agreement_is_that_of_the_classes():
    expected = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.1, 0.6, 0.3]])
    found = np.array([[0.5, 0.4, 0.1], [0.5, 0.3, 0.2], [0.3, 0.4, 0.3]])
    near = fidelity([expected], [found])
    assert near.agreement == pytest.approx(2 / 3)
    error = np.square(expected - found).sum() / np.square(expected).sum()
    assert near.error == pytest.approx(error)
    assert near.rank == near.agreement
    assert str(near) == "agrees on 66.67%"


@pytest.mark.parametrize("shape", [(5, 4, 4, 2), (5, 1), (5,)])
def test_other_outputs_have_an_error_only(shape):
    expected = np.random.default_rng(0).normal(size=shape)
    assert fidelity([expected], [0.9 * expected]) == (None, pytest.approx(0.01))


def test_errors_of_several_outputs_are_averaged():
    one, other = np.ones((4, 3)), np.full((4, 2), 100.0)
    near = fidelity([one, other], [one, 0 * other])
    assert near == (None, pytest.approx(0.5))
    assert str(near) == "outputs are off by 50.00%"
    worse = Fidelity(None, 0.6)
    assert near.rank > worse.rank


def test_outputs_that_are_all_zero():
    zeros = np.zeros((3, 2, 2))
    assert fidelity([zeros], [zeros]).error == 0


def test_a_file_answers_as_its_network():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    model = keras.Model(inputs, {"map": x, "sum": keras.layers.Flatten()(x)})
    images = helpers.pixels(5, 8)
    expected = keras_outputs(model, images)
    assert [output.shape for output in expected] == [(5, 6, 6, 4), (5, 144)]
    found = file_outputs(export_bytes(model, None, images), images)
    assert fidelity(expected, found).error < 1e-9
