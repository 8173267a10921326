"""Walking over a model's operations."""

import keras
import numpy as np
import pytest
from helpers import Subclassed
from keras import layers

from keras_roots.graph import annotate, operations, symbolic_inputs, walk


def _inner():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    return keras.Model(inputs, layers.ReLU(name="relu")(x), name="inner")


def _nested():
    stack = keras.Sequential([keras.Input((6, 6, 3)), _inner()], name="stack")
    inputs = keras.Input((6, 6, 3))
    pooled = layers.GlobalAveragePooling2D(name="pool")(stack(inputs))
    return keras.Model(inputs, layers.Dense(2, name="dense")(pooled) * 2.0)


def _shared():
    inputs = keras.Input((6, 6, 3))
    inner = _inner()
    conv = layers.Conv2D(3, 3, padding="same", name="twice")
    return keras.Model(inputs, inner(conv(conv(inputs))) - inner(inputs))


def _several():
    one, other = keras.Input((6, 6, 3), name="one"), keras.Input((4,), name="other")
    pooled = layers.Flatten(name="flatten")(_inner()(one))
    joined = layers.Concatenate(name="join")([pooled, other])
    return keras.Model({"one": one, "other": other}, [joined, pooled])


def _by_name():
    """Layers, and a model, that are called on an argument by its name."""
    inputs = keras.Input((6, 6, 3))
    pooled = layers.GlobalAveragePooling2D()(inputs=_inner()(inputs=inputs))
    return keras.Model(inputs, pooled)


MODELS = {
    make.__name__: make for make in (_inner, _nested, _shared, _several, _by_name)
}


def _inputs(model):
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=(2, *tensor.shape[1:])).astype("float32")
        for tensor in model.inputs
    ]


def _run(name, operation, args, kwargs):
    return operation(*args, **kwargs)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_walking_computes_what_the_model_does(make):
    model = make()
    inputs = _inputs(model)
    names = [tensor.name for tensor in model.inputs]
    structured = dict(zip(names, inputs, strict=True)) if len(inputs) > 1 else inputs[0]
    want = keras.tree.flatten(model(structured))
    found = walk(model, inputs, _run)
    assert len(found) == len(want)
    for one, other in zip(found, want, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-6)


def test_every_call_is_seen_by_name():
    names = []

    def call(name, operation, args, kwargs):
        names.append(name)
        return operation(*args, **kwargs)

    model = _nested()
    walk(model, _inputs(model), call)
    assert names[:-1] == ["stack/inner/conv", "stack/inner/relu", "pool", "dense"]
    names.clear()
    model = _shared()
    walk(model, _inputs(model), call)
    assert sorted(names[:-1]) == [
        *["inner/conv"] * 2,
        *["inner/relu"] * 2,
        *["twice"] * 2,
    ]


def test_what_the_function_returns_is_passed_on():
    def call(name, operation, args, kwargs):
        outputs = operation(*args, **kwargs)
        return outputs + 1.0 if name == "stack/inner/relu" else outputs

    model = _nested()
    (image,) = _inputs(model)
    inner = model.get_layer("stack").get_layer("inner")
    pooled = np.asarray(inner(image)).mean((1, 2)) + 1
    kernel, bias = model.get_layer("dense").get_weights()
    (found,) = walk(model, image, call)
    np.testing.assert_allclose(np.asarray(found), 2 * (pooled @ kernel + bias), 1e-5)


def test_specifications_leave_the_model_as_it_is():
    def call(name, operation, args, kwargs):
        return operation.compute_output_spec(*args, **kwargs)

    model = _nested()
    (found,) = walk(model, keras.KerasTensor((5, 6, 6, 3)), call)
    assert found.shape == (5, 2)
    assert model.get_layer("dense").output.shape == (None, 2)  # one node still


def test_values_are_let_go_after_their_last_use():
    """A chain of ten operations never holds more than its input and two values."""
    alive, most = set(), []

    class Value:
        def __init__(self):
            alive.add(id(self))
            most.append(len(alive))

        def __del__(self):
            alive.discard(id(self))

    inputs = keras.Input((4,))
    x = inputs
    for _ in range(10):
        x = layers.ReLU()(x)
    walk(keras.Model(inputs, x), Value(), lambda *call: Value())
    assert len(most) == 11
    assert max(most) <= 3


def test_operations_are_named_once_in_order():
    model = _nested()
    found = dict(operations(model))
    assert list(found)[:-1] == ["stack/inner/conv", "stack/inner/relu", "pool", "dense"]
    inner = model.get_layer("stack").get_layer("inner")
    assert found["stack/inner/conv"] is inner.get_layer("conv")
    names = [name for name, _ in operations(_shared())]
    assert sorted(names[:-1]) == ["inner/conv", "inner/relu", "twice"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Subclassed(), "functional or Sequential"),
        (layers.Dense(2), "functional or Sequential"),
        (keras.Sequential([layers.Dense(2)]), "not built"),
    ],
)
def test_what_has_no_graph_is_refused(model, message):
    with pytest.raises(ValueError, match=f"(?s)`model`.*{message}.*Received: model="):
        walk(model, [], _run)
    with pytest.raises(ValueError, match=f"(?s)`model`.*{message}.*Received: model="):
        list(operations(model))


def test_a_subclassed_model_within_is_one_operation():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Subclassed(name="opaque")(inputs))
    assert [name for name, _ in operations(model)] == ["opaque"]


def test_notes_go_along_with_tensors():
    """The depth of each operation, counted from the inputs."""
    model = _nested()
    depths = {}

    def step(name, operation, output, notes):
        depths[name] = (max(notes) + 1, output.shape)
        return max(notes) + 1

    (last,) = annotate(model, symbolic_inputs(model), 0, step)
    assert list(depths) == [name for name, _ in operations(model)]
    assert last == max(depth for depth, _ in depths.values())
    assert list(depths.values())[-1] == (last, model.output_shape)


def test_unknown_sides_are_filled_in():
    one, other = keras.Input((None, None, 3)), keras.Input((4,))
    model = keras.Model([one, other], [layers.Conv2D(2, 1)(one), other])
    shapes = [spec.shape for spec in symbolic_inputs(model, ((8, 6, 3), (4,)))]
    assert shapes == [(None, 8, 6, 3), (None, 4)]
    assert symbolic_inputs(model)[0].shape == (None, None, None, 3)
    for wrong in ((8, 6, 3), ((8, 6, 3), (5,)), ((8, 6), (4,)), 8):
        with pytest.raises(ValueError, match="`input_shape`.*Received: input_shape="):
            symbolic_inputs(model, wrong)
