"""Checks of numbers, alone or several."""

import math
import numbers

import numpy as np

# Numbers above overflow in products in float32, which networks compute in.
LARGEST = 1e30
# Bytes that content may unpack to for each byte of its file: deflate packs zeros 1,030
# times, and networks that were pruned less than 100 times.
MOST_UNPACKED = 100
_FEW_BYTES = 2**26  # which need not be compared


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


def unpacked(
    what: str, declared: int, size: int, most: int = MOST_UNPACKED, remedy: str = ""
) -> None:
    """Checks what content would take in memory, before anything is read.

    Args:
        what: The content, for the message.
        declared: The bytes that it would take.
        size: The bytes that its file has.
        most: How many times as many it may take.
        remedy: What the message ends with.

    Raises:
        ValueError: It would take more.
    """
    if declared > max(_FEW_BYTES, most * size):
        raise ValueError(
            f"{what} would take {declared:,} bytes, where the file has {size:,}: at "
            f"most {most} times as many are read{remedy}"
        )
