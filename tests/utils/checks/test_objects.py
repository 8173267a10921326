"""Checks of texts, paths and functions return the value, or say what would work."""

import pathlib

import keras
import numpy as np
import pytest

from keras_roots.utils import checks

TAKEN = [
    (checks.boolean, (np.True_,), True),
    (checks.unused, (None, "cost='latency'"), None),
    (checks.path, ("a/b",), "a/b"),
    (checks.path, (pathlib.Path("a"),), "a"),
    (checks.path, (None,), None),
    (checks.text, ("a",), "a"),
    (checks.function, (len,), len),
    (checks.function, (len, "model"), len),
    (checks.function, (max, "student", "teacher"), max),
    (checks.of_keras, ("relu", keras.activations.get, ""), keras.activations.relu),
    (checks.of_keras, (None, keras.regularizers.get, ""), None),
    (checks.instance, (3, int, "a number"), 3),
]
REFUSED = [
    (checks.of_keras, ("softmix", keras.activations.get, "an activation"), "an act"),
    (checks.of_keras, ([3], keras.losses.get, "a loss"), "a loss of Keras, or its"),
    (checks.instance, (3, str, "a name"), "a name"),
    (checks.path, ("",), "a path or None"),
    (checks.text, (3,), "text"),
    (checks.text, (None,), "text"),
    (checks.function, ("len",), "function"),
    (checks.function, (3, "student", "teacher"), "function of student and teacher"),
    (checks.function, (lambda: 1, "model"), "function of model"),
    (checks.function, (lambda a, b, c: 1, "a", "b"), "function of a and b"),
    (checks.path, (3,), "a path or None"),
    (checks.boolean, ("yes",), "True or False"),
    (checks.boolean, (1,), "True or False"),
    (checks.boolean, (None,), "True or False"),
    (checks.unused, (0, "cost='latency'"), "None without cost='latency'.*no effect"),
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


def test_messages_of_others_are_one_line_without_colours():
    error = ValueError("\x1b[1mInput 0\x1b[0m\n  is   wrong")
    assert checks.quoted(error) == "Input 0 is wrong"
    assert checks.quoted("abcdef", 3) == "abc"


@pytest.mark.parametrize("value", ["", None, 3])
def test_texts_that_may_not_be_empty(value):
    assert checks.text("size", "") == ""
    with pytest.raises(ValueError, match="`size` must be a text that is not empty"):
        checks.text("size", value, empty=False)


@pytest.mark.parametrize(
    ("value", "bare"),
    [("cifar10", True), ("root_nin:8", True), ("./cifar10", False), ("a/b", False)]
    + [("net.keras", False), ("/tmp", False), (".", False), ("..", False)]
    + [(pathlib.Path("cifar10"), False), (None, False)],
)
def test_names_are_told_from_paths(value, bare):
    assert checks.is_bare(value) is bare
