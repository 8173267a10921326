"""Checks of arguments return the value, or say what would work."""

import pathlib

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
REFUSED = [
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
