"""Outputs of a network held against those of another."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots.compression.fidelity import (
    fidelity,
    file_outputs,
    is_softmax,
    output_names,
)
from keras_roots.compression.meet_budget import export_bytes
from keras_roots.convolutions import Samples


def test_agreement_is_that_of_the_classes():
    expected = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.1, 0.6, 0.3]])
    found = np.array([[0.5, 0.4, 0.1], [0.5, 0.3, 0.2], [0.3, 0.4, 0.3]])
    near = fidelity([expected], [found])
    assert near.agreement == pytest.approx(2 / 3)
    error = np.square(expected - found).sum() / np.square(expected).sum()
    assert near.error == pytest.approx(error)
    assert str(near) == (
        f"outputs are off by {error:.2%}, the class is the same for 66.67%"
    )


def test_agreement_of_a_map_is_that_of_its_places():
    expected = np.zeros((1, 2, 2, 3))
    expected[..., 0] = 1
    found = expected.copy()
    found[0, 0, 0] = [0, 1, 0]
    assert fidelity([expected], [found]).agreement == 0.75


@pytest.mark.parametrize("shape", [(5, 4, 4, 2), (5, 1), (5,), (5, 7)])
def test_other_outputs_have_an_error_only(shape):
    """Scores of no softmax, embeddings for instance, have no classes."""
    expected = np.random.default_rng(0).normal(size=shape)
    near = fidelity([expected], [0.9 * expected])
    assert (near.agreement, near.error) == (None, pytest.approx(0.01))


def test_every_output_has_an_error_of_its_own():
    one, other, scores = np.ones((4, 3)), np.full((4, 2), 100.0), np.eye(4)
    near = fidelity([one, other, scores], [one, 0 * other, scores], ["a", "b", "c"])
    assert [(each.name, each.error) for each in near.outputs] == [
        ("a", 0),
        ("b", 1),
        ("c", 0),
    ]
    assert [each.agreement for each in near.outputs] == [None, None, 1.0]
    assert (near.error, near.agreement) == (pytest.approx(1 / 3), 1.0)


def test_outputs_that_are_all_zero():
    zeros = np.zeros((3, 2, 2))
    assert fidelity([zeros], [zeros]).error == 0


@pytest.mark.parametrize(
    ("values", "softmax"),
    [
        (np.eye(3), True),
        (np.full((2, 4, 4, 5), 0.2), True),
        (np.eye(3) + 0.1, False),
        (np.array([[1.5, -0.5]]), False),
        (np.ones((3, 1)), False),
        (np.ones(3), False),
    ],
)
def test_what_a_softmax_is(values, softmax):
    assert is_softmax(values) == softmax


def _outputs(make):
    inputs = keras.Input((4,))
    one = keras.layers.Dense(2, name="one")(inputs)
    other = keras.layers.Dense(3, name="other")(inputs)
    return keras.Model(inputs, make(one, other))


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda a, b: [a, b], 2),
        (lambda a, b: {"first": a, "second": b}, 2),
        (lambda a, b: {"x": a, "both": [a, b]}, 3),
        (lambda a, b: a, 1),
    ],
)
def test_outputs_have_different_names(make, count):
    names = output_names(_outputs(make))
    assert len(names) == len(set(names)) == count
    assert output_names(helpers.grouped()) == ["output"]


def test_outputs_of_one_name_are_numbered():
    layer = keras.layers.Dense(2, name="same")
    first, second = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([first, second], [layer(first), layer(second)])
    assert len(set(model.output_names)) == 1
    assert output_names(model) == ["output 0", "output 1"]


def test_a_file_answers_as_its_network():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    model = keras.Model(inputs, {"map": x, "sum": keras.layers.Flatten()(x)})
    images = Samples.of(model, helpers.pixels(5, 8))
    expected = images.outputs(model)
    assert [output.shape for output in expected] == [(5, 6, 6, 4), (5, 144)]
    content = export_bytes(model, None, images, "avx512")
    assert fidelity(expected, file_outputs(content, images.inputs)).error < 1e-9
