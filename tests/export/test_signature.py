import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.export import signature

STRUCTURES = {
    "one": (lambda new: new(), ["output_0"]),
    "list": (lambda new: [new(), new()], ["output_0", "output_1"]),
    "a list of twelve": (
        lambda new: [new() for _ in range(12)],
        [f"output_{index}" for index in range(12)],
    ),
    "dictionary": (lambda new: {"b": new(), "a": new()}, ["a", "b"]),
    "a list in a dictionary": (
        lambda new: {"pyramid": [new(), new()], "a": new()},
        ["a", "pyramid/0", "pyramid/1"],
    ),
    "a dictionary in a list": (
        lambda new: [new(), {"v": [new()], "u": new()}],
        ["output_0", "output_1/u", "output_1/v/0"],
    ),
    "tuples": (
        lambda new: ((new(), new()), new()),
        ["output_0/0", "output_0/1", "output_1"],
    ),
    # Sorted as texts, 10 comes before 2: no names but numbers keep the order.
    "a long list in a dictionary": (
        lambda new: {"a": [new() for _ in range(11)]},
        [f"output_{index}" for index in range(11)],
    ),
    "keys that look like a list's": (
        lambda new: {"output_10": new(), "output_2": new()},
        ["output_0", "output_1"],
    ),
    "keys with slashes": (
        lambda new: {"a/b": new(), "a-c": new()},
        ["output_0", "output_1"],
    ),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_outputs_are_named_by_their_place(structure):
    make, expected = STRUCTURES[structure]
    inputs = keras.Input((4,))
    model = keras.Model(inputs, make(lambda: layers.Dense(2)(inputs)))
    names = signature.output_names(model)
    assert names == expected
    assert signature.in_order(reversed(names)) == names


def test_a_sequential_model_has_one_output():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert signature.output_names(model) == ["output_0"]
    assert signature.input_names(model) == ["images"]
    assert signature.packed(model, [1]) == 1


def _model(*names, form=list):
    inputs = [keras.Input((2,), name=name) for name in names]
    outputs = layers.Add()([layers.Dense(2)(x) for x in inputs])
    given = dict(zip(names, inputs, strict=True)) if form is dict else inputs
    return keras.Model(given, outputs)


def test_inputs_have_the_names_of_the_model():
    assert signature.input_names(_model("photo")) == ["images"]
    assert signature.input_names(_model("left", "a.b-c", "2nd")) == [
        "left",
        "a_b_c",
        "_2nd",
    ]
    with pytest.raises(ValueError, match="different names.*'a.b', 'a-b'"):
        signature.input_names(_model("a.b", "a-b"))


@pytest.mark.parametrize("form", [list, dict])
def test_values_take_the_structure_of_the_inputs(form):
    model = _model("z", "a", form=form)
    arrays = [np.full((1, 2), value) for value in range(2)]
    assert list(signature.by_name(model, arrays)) == [x.name for x in model.inputs]
    packed = signature.packed(model, arrays)
    assert type(packed) is form
    found = {name: packed[name] for name in "az"} if form is dict else packed
    for index, tensor in enumerate(model.inputs):
        value = found[tensor.name] if form is dict else found[index]
        assert value is arrays[index]
