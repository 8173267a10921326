"""Checks of arguments: each returns the value, or says what would work."""

import inspect
import math
import numbers
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

# Numbers above overflow in products in float32, which networks compute in.
LARGEST = 1e30


def is_integer(value) -> bool:
    """Returns whether a value is an integer, of Python or NumPy, and no truth value."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value) -> bool:
    """Returns whether a value is a finite real number, and no truth value.

    One that float32 can compute with: neither above `LARGEST` nor below its negative.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    return real and -LARGEST <= value <= LARGEST


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
        if isinstance(value, float) and math.isfinite(value) and not is_number(value):
            bound += f", at most {LARGEST:g}"
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


def integers(name: str, values, least: int = 1) -> tuple[int, ...]:
    """Checks a list or tuple of one or more integers.

    Args:
        name: Name of the argument.
        values: What it received.
        least: The smallest value that is allowed.

    Raises:
        ValueError: It is no list or tuple, empty, or holds something else.
    """
    good = isinstance(values, list | tuple) and len(values) > 0
    if not good or not all(is_integer(value) and value >= least for value in values):
        raise ValueError(
            f"`{name}` must be a tuple of integers, each {least} or more. "
            f"Received: {name}={values!r}"
        )
    return tuple(map(int, values))


def pair(name: str, value) -> tuple[int, int]:
    """Checks a positive integer along height and width, or two of them.

    Args:
        name: Name of the argument.
        value: What it received.

    Raises:
        ValueError: It is something else.
    """
    both = integers(name, value if isinstance(value, list | tuple) else (value, value))
    if len(both) != 2:
        raise ValueError(
            f"`{name}` must be an integer or two of them. Received: {name}={value!r}"
        )
    return both


def kernel_shape(value, groups: int) -> tuple[int, int, int, int]:
    """Checks the argument `kernel_shape` of a convolution, and its `groups`.

    Raises:
        ValueError: It is no tuple of four positive integers, or its filters cannot be
            divided into the groups.
    """
    shape = integers("kernel_shape", value)
    if len(shape) != 4:
        raise ValueError(
            "`kernel_shape` must be (height, width, channels / groups, filters). "
            f"Received: kernel_shape={value!r}"
        )
    if shape[-1] % integer("groups", groups):
        raise ValueError(
            f"`groups` must divide the {shape[-1]} filters. Received: groups={groups!r}"
        )
    return shape


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
    listed = isinstance(values, Collection) and _is_listed(values) and len(values) > 0
    if not listed or not all(_is_one(value, known) for value in values):
        raise ValueError(
            f"`{name}` must be of {tuple(known)}, a tuple. Received: {name}={values!r}"
        )
    if len(set(values)) < len(values):
        raise ValueError(
            f"`{name}` must name each only once. Received: {name}={values!r}"
        )
    return tuple(values)


def text(name: str, value, *, empty: bool = True) -> str:
    """Checks a text.

    Args:
        name: Name of the argument.
        value: What it received.
        empty: Whether it may be empty.

    Raises:
        ValueError: It is no text, or empty.
    """
    if not isinstance(value, str) or not (value or empty):
        wanted = "a text" if empty else "a text that is not empty"
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")
    return value


def of_keras(name: str, value, find: Callable, kind: str):
    """Checks what Keras finds by name or by configuration, or takes as it is.

    Args:
        name: Name of the argument.
        value: What it received.
        find: What finds it: `keras.activations.get` and the like.
        kind: What it is, for the message: `"an activation"`.

    Returns:
        What was found.

    Raises:
        ValueError: Keras does not know it.
    """
    try:
        return find(value)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"`{name}` must be {kind} of Keras, or its name. Received: {name}={value!r}"
        ) from error


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


def instance(name: str, value, kind: type | tuple[type, ...], wanted: str):
    """Checks the class of an argument.

    Args:
        name: Name of the argument.
        value: What it received.
        kind: Class or classes that it may be of.
        wanted: What that is, for the message: `"a list of measurements"`.

    Raises:
        ValueError: It is of another.
    """
    if not isinstance(value, kind):
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")
    return value


def collection(
    name: str, values, wanted: str, kind: type = object, *, empty: bool = False
) -> tuple:
    """Checks an iterable of some, but no text and no dictionary.

    Args:
        name: Name of the argument.
        values: What it received.
        wanted: What that is, for the message: `"a list of measurements"`.
        kind: Class of each.
        empty: Whether there may be none.

    Raises:
        ValueError: It is something else, or empty.
    """
    listed = isinstance(values, Iterable) and _is_listed(values)
    found = tuple(values) if listed and not isinstance(values, Mapping) else None
    if not (found or (empty and found == ())) or not all(
        isinstance(value, kind) for value in found
    ):
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={values!r}")
    return found


def _is_listed(values) -> bool:
    """Tells whether what can be iterated over is no text, and no array of one value."""
    return not isinstance(values, str | bytes) and getattr(values, "ndim", 1) > 0


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
    fits = isinstance(value, str | os.PathLike) and os.fspath(value) != ""
    if not fits and (required or value is not None):
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
    sides = ["any" if side is None else str(side) for side in shape]
    return array(
        name, value, (None, *shape), f"({', '.join(['n', *sides])}), one image or more"
    )


def array(
    name: str, value, shape: Iterable[int | None], shown: str | None = None
) -> np.ndarray:
    """Checks an array of finite numbers, none of its sides 0.

    Args:
        name: Name of the argument.
        value: What it received: anything that NumPy makes an array of.
        shape: Its shape; `None` where a side may have any length.
        shown: What the message says of the shape; `None` for the shape.

    Raises:
        ValueError: It has another shape, no numbers, or values that are not finite.
    """
    shape = tuple(shape)
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        array = np.asarray(None)
    if array.dtype.name == "bfloat16":
        array = array.astype("float32")
    fits = array.ndim == len(shape) and all(
        known in (None, side) for side, known in zip(array.shape, shape, strict=True)
    )
    if not fits or not array.size or array.dtype.kind not in "uif":
        raise ValueError(
            f"`{name}` must be numbers of shape {shown or shape}. "
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
