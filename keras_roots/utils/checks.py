"""Checks of arguments: each returns the value, or says what would work."""

import inspect
import math
import numbers
import os
import re
from collections.abc import Collection, Iterable

import numpy as np


def is_integer(value) -> bool:
    """Returns whether a value is an integer, of Python or NumPy, and no truth value."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value) -> bool:
    """Returns whether a value is a finite real number, and no truth value."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    return real and math.isfinite(value)


def integer(name: str, value, least: int = 1) -> int:
    """Checks an integer.

    Args:
        name: Name of the argument.
        value: What it received; NumPy's integers count, truth values do not.
        least: The smallest value that is allowed.

    Raises:
        ValueError: It is no integer, or too small.
    """
    if not is_integer(value) or value < least:
        raise ValueError(
            f"`{name}` must be an integer, {least} or more. Received: {name}={value!r}"
        )
    return int(value)


def number(
    name: str, value, least: float = -math.inf, above: float | None = None
) -> float:
    """Checks a finite number.

    Args:
        name: Name of the argument.
        value: What it received.
        least: The smallest value that is allowed.
        above: What it must be greater than, in place of `least`.

    Raises:
        ValueError: It is no number, not finite, or too small.
    """
    small = is_number(value) and (value < least if above is None else value <= above)
    if not is_number(value) or small:
        bound = f", {least:g} or more" if least > -math.inf else ""
        bound = f" above {above:g}" if above is not None else bound
        raise ValueError(
            f"`{name}` must be a finite number{bound}. Received: {name}={value!r}"
        )
    return float(value)


def part(name: str, value, *, zero: bool = False, one: bool = False) -> float:
    """Checks a part of a whole, between 0 and 1.

    Args:
        name: Name of the argument.
        value: What it received.
        zero: Whether 0 is allowed.
        one: Whether 1 is allowed.

    Raises:
        ValueError: It is no number, or outside that range.
    """
    inside = is_number(value) and 0 <= value <= 1
    if not inside or (value == 0 and not zero) or (value == 1 and not one):
        bounds = f"{'from' if zero else 'above'} 0 {'to' if one else 'and below'} 1"
        raise ValueError(
            f"`{name}` must be a number {bounds}. Received: {name}={value!r}"
        )
    return float(value)


def seed(value: int | None) -> int | None:
    """Checks a seed; `None` stands for another one each time.

    Raises:
        ValueError: It is no integer, or negative.
    """
    return None if value is None else integer("seed", value, least=0)


def choice(name: str, value, choices: Iterable):
    """Checks one of several values.

    Args:
        name: Name of the argument.
        value: What it received.
        choices: The values that are allowed.

    Raises:
        ValueError: It is none of them.
    """
    choices = tuple(choices)
    if not _is_one(value, choices):
        raise ValueError(
            f"`{name}` must be one of {choices}. Received: {name}={value!r}"
        )
    return value


def _is_one(value, known) -> bool:
    """Tells whether a value is one of those known."""
    # Of one type too: True equals 1, and an array equals nothing as a whole.
    return any(type(value) is type(each) and value == each for each in known)


def choices(name: str, values, known: Collection) -> tuple:
    """Checks a collection of one or more known values.

    Args:
        name: Name of the argument.
        values: What it received: a tuple or another collection, but no string.
        known: The values that are allowed.

    Raises:
        ValueError: It is no collection, empty, or holds other values or one twice.
    """
    listed = isinstance(values, Collection) and not isinstance(values, str)
    if not listed or not values or not all(_is_one(value, known) for value in values):
        raise ValueError(
            f"`{name}` must be of {tuple(known)}, a tuple. Received: {name}={values!r}"
        )
    if len(set(values)) < len(values):
        raise ValueError(
            f"`{name}` must name each only once. Received: {name}={values!r}"
        )
    return tuple(values)


def text(name: str, value) -> str:
    """Checks a text.

    Args:
        name: Name of the argument.
        value: What it received.

    Raises:
        ValueError: It is no text.
    """
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be a text. Received: {name}={value!r}")
    return value


def function(name: str, value, *arguments: str):
    """Checks a function, or what can be called as one.

    Args:
        name: Name of the argument.
        value: What it received.
        *arguments: What it is called with, in this order, where that is checked too.

    Raises:
        ValueError: It cannot be called, or not with these arguments.
    """
    wanted = f" of {' and '.join(arguments)}" if arguments else ""
    expected = f"`{name}` must be a function{wanted}. "
    if not callable(value):
        raise ValueError(expected + f"Received: {name}={value!r}")
    try:
        signature = inspect.signature(value)
    except (ValueError, TypeError):  # some that are written in C tell nothing
        return value
    try:
        signature.bind(*arguments)
    except TypeError as error:
        if arguments:
            called = getattr(value, "__name__", type(value).__name__)
            raise ValueError(
                expected + f"Received: {name}={called}{signature}"
            ) from error
    return value


def boolean(name: str, value) -> bool:
    """Checks a truth value, of Python or NumPy.

    Args:
        name: Name of the argument.
        value: What it received.

    Raises:
        ValueError: It is something else, if only a number.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return bool(value)


def unused(name: str, value, needs: str) -> None:
    """Checks that an argument is `None`, which would have no effect.

    Args:
        name: Name of the argument.
        value: What it received.
        needs: The other argument with which it would have one: `"cost='latency'"`.

    Raises:
        ValueError: It is something.
    """
    if value is not None:
        raise ValueError(
            f"`{name}` must be None without {needs}: it would have no effect. "
            f"Received: {name} of type {type(value).__name__}"
        )


def path(name: str, value, *, required: bool = False) -> str | None:
    """Checks a path; `None` stands for no path.

    Args:
        name: Name of the argument.
        value: What it received.
        required: Whether there must be one.

    Raises:
        ValueError: It is no path.
    """
    if not isinstance(value, str | os.PathLike | None) or (required and value is None):
        wanted = "a path" if required else "a path or None"
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")
    return None if value is None else os.fspath(value)


def images(name: str, value, shape: Iterable[int | None]) -> np.ndarray:
    """Checks a batch of images.

    Args:
        name: Name of the argument.
        value: What it received: anything that NumPy makes an array of.
        shape: Shape of one image; `None` where a side may have any length.

    Returns:
        An array `(n, *shape)` of numbers, n at least 1.

    Raises:
        ValueError: It has another shape, no numbers, or values that are not finite.
    """
    shape = tuple(shape)
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        array = np.asarray(None)
    fits = array.ndim == 1 + len(shape) and all(
        side in (known, None) or known is None
        for side, known in zip(array.shape[1:], shape, strict=True)
    )
    if not fits or not len(array) or array.dtype.kind not in "uif":
        expected = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(
            f"`{name}` must be numbers of shape (n, {expected}), one image or more. "
            f"Received: {name} of shape {array.shape} and type {array.dtype}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be finite. Received: {name} with NaN or infinite values"
        )
    return array


def quoted(error: Exception | str, most: int = 300) -> str:
    """Returns what another package's exception says, to be part of a message.

    Args:
        error: The exception, or its message.
        most: Characters, at most.

    Returns:
        One line, without the codes that colour a terminal.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return " ".join(plain.split())[:most]
