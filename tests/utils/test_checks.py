"""Checks of arguments return the value, or say what would work."""

import pathlib

import keras
import numpy as np
import pytest

from keras_roots.utils import checks

SHAPE = (4, 4, 3)
TAKEN = [
    (checks.integer, (3,), 3),
    (checks.integer, (np.int64(3),), 3),
    (checks.integer, (0, 0), 0),
    (checks.number, (-2,), -2.0),
    (checks.number, (np.float32(0.5), 0), 0.5),
    (checks.boolean, (np.True_,), True),
    (checks.unused, (None, "cost='latency'"), None),
    (checks.part, (0.5,), 0.5),
    (checks.choice, ("a", ("a", None)), "a"),
    (checks.choice, (None, ("a", None)), None),
    (checks.choices, (["a"], ("a", "b")), ("a",)),
    (checks.path, ("a/b",), "a/b"),
    (checks.path, (pathlib.Path("a"),), "a"),
    (checks.path, (None,), None),
    (checks.text, ("a",), "a"),
    (checks.function, (len,), len),
    (checks.function, (len, "model"), len),
    (checks.function, (max, "student", "teacher"), max),  # has no signature
]
TAKEN += [
    (checks.integers, ([1, np.int64(2)],), (1, 2)),
    (checks.pair, (3,), (3, 3)),
    (checks.pair, ([3, 1],), (3, 1)),
    (checks.of_keras, ("relu", keras.activations.get, ""), keras.activations.relu),
    (checks.of_keras, (None, keras.regularizers.get, ""), None),
    (checks.collection, (iter("ab"), "", str), ("a", "b")),
    (checks.instance, (3, int, "a number"), 3),
]
REFUSED = [
    (checks.number, (1e300,), "finite number, at most 1e.30"),
    (checks.number, (-1e31, -2), "finite number, -2 or more, at most 1e.30"),
    (checks.integers, ((1, True),), "tuple of integers, each 1 or more"),
    (checks.integers, ((),), "tuple of integers"),
    (checks.integers, (3,), "tuple of integers"),
    (checks.pair, ((1, 2, 3),), "an integer or two"),
    (checks.pair, (0,), "integers, each 1 or more"),
    (checks.of_keras, ("softmix", keras.activations.get, "an activation"), "an act"),
    (checks.of_keras, ([3], keras.losses.get, "a loss"), "a loss of Keras, or its"),
    (checks.collection, ("ab", "a list"), "a list"),
    (checks.collection, ({"a": 1}, "a list"), "a list"),
    (checks.collection, ([], "a list"), "a list"),
    (checks.collection, (np.array(3), "a list"), "a list"),
    (checks.collection, ([3], "a list of texts", str), "a list of texts"),
    (checks.instance, (3, str, "a name"), "a name"),
    (checks.choices, (np.array(3), (3,)), "a tuple"),
    (checks.path, ("",), "a path or None"),
    (checks.array, (np.zeros((2, 3)), (2, 2)), r"of shape \(2, 2\)"),
    (checks.array, ("ab", (None,), "(n,)"), r"numbers of shape \(n,\)"),
    (checks.array, (np.zeros((0, 3)), (None, 3)), "numbers of shape"),
    (checks.array, ([1, np.inf], (None,)), "finite"),
    (checks.text, (3,), "text"),
    (checks.text, (None,), "text"),
    (checks.function, ("len",), "function"),
    (checks.integer, (True,), "integer, 1 or more"),
    (checks.integer, (0,), "integer, 1 or more"),
    (checks.integer, (1.0,), "integer"),
    (checks.integer, (np.True_,), "integer"),
    (checks.integer, ("3", 0), "integer, 0 or more"),
    (checks.number, (True,), "finite number"),
    (checks.number, (float("nan"),), "finite number"),
    (checks.number, (float("inf"),), "finite number"),
    (checks.number, (-1, 0), "0 or more"),
    (checks.part, (0.0,), "above 0 and below 1"),
    (checks.part, (1,), "above 0 and below 1"),
    (checks.part, (True,), "above 0"),
    (checks.part, (np.array([0.5]),), "above 0"),
    (checks.choice, ("c", ("a", "b")), "one of"),
    (checks.choice, (True, (1, 2)), "one of"),
    (checks.choice, (np.zeros(2), (1, 2)), "one of"),
    (checks.choices, ("a", ("a", "b")), "a tuple"),
    (checks.choices, ((), ("a", "b")), "of"),
    (checks.choices, (("c",), ("a", "b")), "of"),
    (checks.choices, (("a", "a"), ("a", "b")), "only once"),
    (checks.choices, ((["a"],), {"a": 1, "b": 2}), r"of \('a', 'b'\)"),
    (checks.choices, ((np.zeros(2),), {"a": 1, "b": 2}), "of"),
    (checks.function, (3, "student", "teacher"), "function of student and teacher"),
    (checks.function, (lambda: 1, "model"), "function of model"),
    (checks.function, (lambda a, b, c: 1, "a", "b"), "function of a and b"),
    (checks.path, (3,), "a path or None"),
    (checks.images, (np.zeros((2, 4, 4, 1)), SHAPE), "shape"),
    (checks.boolean, ("yes",), "True or False"),
    (checks.boolean, (1,), "True or False"),
    (checks.boolean, (None,), "True or False"),
    (checks.unused, (0, "cost='latency'"), "None without cost='latency'.*no effect"),
    (checks.images, (np.zeros((0, 4, 4, 3)), SHAPE), "one image or more"),
    (checks.images, (np.zeros((4, 4, 3)), SHAPE), "shape"),
    (checks.images, (np.full((1, 4, 4, 3), np.nan), SHAPE), "finite"),
    (checks.images, (np.full((1, 4, 4, 3), "a"), SHAPE), "numbers"),
    (checks.images, ([[1], [1, 2]], SHAPE), "shape"),
]


@pytest.mark.parametrize("check, given, expected", TAKEN)
def test_what_is_taken_is_returned(check, given, expected):
    found = check("size", *given)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("check, given, words", REFUSED)
def test_what_is_refused_names_the_argument(check, given, words):
    with pytest.raises(ValueError, match=f"`size` must .*{words}.*Received: size"):
        check("size", *given)


def test_ends_of_a_part_where_they_are_allowed():
    assert checks.part("size", 0, zero=True) == 0.0
    assert checks.part("size", 1, one=True) == 1.0
    with pytest.raises(ValueError, match="from 0 to 1"):
        checks.part("size", 2, zero=True, one=True)


def test_numbers_above_a_bound():
    assert checks.number("size", 0.1, above=0) == 0.1
    with pytest.raises(ValueError, match="above 0"):
        checks.number("size", 0, above=0)


@pytest.mark.parametrize("seed", [None, 0, np.uint8(3)])
def test_seeds(seed):
    assert checks.seed(seed) == seed


@pytest.mark.parametrize("seed", [-1, True, 0.5, "0"])
def test_seeds_that_are_none(seed):
    with pytest.raises(ValueError, match="`seed` must be an integer, 0 or more"):
        checks.seed(seed)


def test_images_of_any_side():
    images = np.ones((2, 5, 7, 3), "uint8")
    assert checks.images("size", images, (None, None, 3)) is images
    assert checks.images("size", images.tolist(), (5, 7, 3)).shape == images.shape


def test_messages_of_others_are_one_line_without_colours():
    error = ValueError("\x1b[1mInput 0\x1b[0m\n  is   wrong")
    assert checks.quoted(error) == "Input 0 is wrong"
    assert checks.quoted("abcdef", 3) == "abc"


@pytest.mark.parametrize("value", ["", None, 3])
def test_texts_that_may_not_be_empty(value):
    assert checks.text("size", "") == ""
    with pytest.raises(ValueError, match="`size` must be a text that is not empty"):
        checks.text("size", value, empty=False)


def test_nothing_where_it_is_allowed():
    assert checks.collection("size", [], "a list", empty=True) == ()


@pytest.mark.parametrize(
    ("shape", "groups", "words"),
    [
        ((3, 3, 4), 1, "`kernel_shape` must be"),
        ((3, 3, 4, 0), 1, "`kernel_shape` must be"),
        ((3, 3, 4, 8), 3, "`groups` must divide the 8 filters"),
        ((3, 3, 4, 8), True, "`groups` must be an integer"),
    ],
)
def test_shapes_of_kernels(shape, groups, words):
    assert checks.kernel_shape([3, 3, 4, 8], 2) == (3, 3, 4, 8)
    with pytest.raises(ValueError, match=words):
        checks.kernel_shape(shape, groups)


def test_arrays_are_numbers_that_numpy_knows():
    bfloat16 = keras.ops.convert_to_tensor([[1.0, 2.0]], "bfloat16")
    found = checks.array("size", keras.ops.convert_to_numpy(bfloat16), (None, 2))
    assert found.tolist() == [[1.0, 2.0]]
