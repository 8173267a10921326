"""Checks of numbers return the value, or say what would work."""

import numpy as np
import pytest

from keras_roots.utils import checks

TAKEN = [
    (checks.integer, (3,), 3),
    (checks.integer, (np.int64(3),), 3),
    (checks.integer, (0, 0), 0),
    (checks.number, (-2,), -2.0),
    (checks.number, (np.float32(0.5), 0), 0.5),
    (checks.part, (0.5,), 0.5),
    (checks.integers, ([1, np.int64(2)],), (1, 2)),
    (checks.pair, (3,), (3, 3)),
    (checks.pair, ([3, 1],), (3, 1)),
]
REFUSED = [
    (checks.number, (1e300,), "finite number, at most 1e.30"),
    (checks.number, (-1e31, -2), "finite number, -2 or more, at most 1e.30"),
    (checks.integers, ((1, True),), "tuple of integers, each 1 or more"),
    (checks.integers, ((),), "tuple of integers"),
    (checks.integers, (3,), "tuple of integers"),
    (checks.pair, ((1, 2, 3),), "an integer or two"),
    (checks.pair, (0,), "integers, each 1 or more"),
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


@pytest.mark.parametrize(
    ("declared", "size", "most", "fits"),
    [(2**26, 1, 1, True), (2**26 + 1, 1, 1, False), (10**10, 10**8, 100, True)]
    + [(10**10 + 1, 10**8, 100, False), (10**30, 10**8, 100, False)],
)
def test_what_unpacks_to_far_more_than_its_file(declared, size, most, fits):
    if fits:
        checks.unpacked("it", declared, size, most)
    else:
        with pytest.raises(ValueError, match="^it would take .* bytes, where the file"):
            checks.unpacked("it", declared, size, most)
