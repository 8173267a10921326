"""Checks of texts, paths, functions and other objects."""

import inspect
import os
import re
from collections.abc import Callable

import numpy as np


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


def is_bare(value) -> bool:
    """Tells whether a text is a name, no path: it has neither separator nor suffix.

    Where names and paths are taken, what lies in the working directory so never takes
    the place of what has the name.

    Args:
        value: What an argument received.
    """
    is_name = isinstance(value, str) and os.path.basename(value) == value
    return is_name and not os.path.splitext(value)[1] and value not in (".", "..")


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
