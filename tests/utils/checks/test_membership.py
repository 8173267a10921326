"""Checks of choices and collections return the value, or say what would work."""

import numpy as np
import pytest

from keras_roots.utils import checks

TAKEN = [
    (checks.choice, ("a", ("a", None)), "a"),
    (checks.choice, (None, ("a", None)), None),
    (checks.choices, (["a"], ("a", "b")), ("a",)),
    (checks.collection, (iter("ab"), "", str), ("a", "b")),
]
REFUSED = [
    (checks.collection, ("ab", "a list"), "a list"),
    (checks.collection, ({"a": 1}, "a list"), "a list"),
    (checks.collection, ([], "a list"), "a list"),
    (checks.collection, (np.array(3), "a list"), "a list"),
    (checks.collection, ([3], "a list of texts", str), "a list of texts"),
    (checks.choices, (np.array(3), (3,)), "a tuple"),
    (checks.choice, ("c", ("a", "b")), "one of"),
    (checks.choice, (True, (1, 2)), "one of"),
    (checks.choice, (np.zeros(2), (1, 2)), "one of"),
    (checks.choices, ("a", ("a", "b")), "a tuple"),
    (checks.choices, ((), ("a", "b")), "of"),
    (checks.choices, (("c",), ("a", "b")), "of"),
    (checks.choices, (("a", "a"), ("a", "b")), "only once"),
    (checks.choices, ((["a"],), {"a": 1, "b": 2}), r"of \('a', 'b'\)"),
    (checks.choices, ((np.zeros(2),), {"a": 1, "b": 2}), "of"),
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


def test_nothing_where_it_is_allowed():
    assert checks.collection("size", [], "a list", empty=True) == ()
