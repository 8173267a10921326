"""The steps of a model: stopping between them, and going on."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.graph import Program, check_graph, is_graph


def _run(name, operation, args, kwargs):
    return operation(*args, **kwargs)


def _inner():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(3, 3, padding="same", name="conv")(inputs)
    return keras.Model(inputs, layers.ReLU(name="relu")(x), name="inner")


def _twice():
    """A model within the model that is called twice, once on its own result."""
    inner, inputs = _inner(), keras.Input((6, 6, 3))
    once = inner(inputs)
    return keras.Model(inputs, inner(once) - inputs)


def _same_input():
    """The model within has the input of the model around it, which goes on from it."""
    inner = _inner()
    (inputs,) = inner.inputs
    return keras.Model(inputs, layers.Add()([inner(inner.output), inputs]))


def _by_name():
    """Layers, and a model, that are called on an argument by its name."""
    inputs = keras.Input((6, 6, 3))
    pooled = layers.GlobalAveragePooling2D()(inputs=_inner()(inputs=inputs))
    return keras.Model(inputs, pooled)


MODELS = (_twice, _same_input, _by_name)


def _images():
    return np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")


@pytest.mark.parametrize("make", MODELS)
def test_walks_go_on_from_copies_of_what_they_know(make):
    """Two walks from each step on answer what the model does, the first step too."""
    model, images = make(), _images()
    program = Program(model)
    want = np.asarray(model(images))
    count = len(program.steps)
    for stop in range(count + 1):
        values = program.start([images])
        program.run(values, _run, 0, stop)
        for copy in (dict(values), values):
            program.run(copy, _run, stop, count)
            found = copy[program.outputs[0]]
            np.testing.assert_allclose(np.asarray(found), want, atol=1e-6)


def test_only_what_later_steps_need_is_known():
    inputs = x = keras.Input((6, 6, 3))
    for index in range(4):
        x = layers.ReLU(name=f"relu{index}")(x)
    program = Program(keras.Model(inputs, layers.Add()([x, inputs])))
    values = program.start([_images()])
    for stop in range(1, 5):
        program.run(values, _run, stop - 1, stop)
        assert len(values) == 2
    program.run(values, _run, 4, 5)
    assert list(values) == list(program.outputs)


def test_what_is_called_by_name_is_seen_by_position():
    seen = []

    def call(name, operation, args, kwargs):
        seen.append((name.split("/")[-1], len(args), "inputs" in kwargs))
        return operation(*args, **kwargs)

    program = Program(_by_name())
    program.run(program.start([_images()]), call, 0, len(program.steps))
    assert [(count, named) for _, count, named in seen] == [(1, False)] * 3


class _Trained(keras.Model):
    """A functional model with a training step of its own."""

    def train_step(self, data):
        return {}


class _Doubled(keras.Model):
    """A functional model that computes something else than its layers do."""

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


class _Sequence(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return -super().call(inputs, training=training, mask=mask)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(keras.Model, True), (_Trained, True), (_Doubled, False)],
)
def test_models_with_a_call_of_their_own_have_no_graph(kind, expected):
    inputs = keras.Input((4,))
    model = kind(inputs, layers.Dense(2)(inputs))
    assert is_graph(model) is expected
    if not expected:
        with pytest.raises(ValueError, match="one with a `call` of its own"):
            check_graph(model)


def test_sequences_with_a_call_of_their_own_have_no_graph():
    stack = [keras.Input((4,)), layers.Dense(2)]
    assert is_graph(keras.Sequential(stack)) and not is_graph(_Sequence(stack))
