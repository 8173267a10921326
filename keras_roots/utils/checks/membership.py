"""Checks of choices, and of several of a kind."""

from collections.abc import Collection, Iterable, Mapping


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


def _is_one(value, known) -> bool:
    """Tells whether a value is one of those known."""
    # Of one type too: True equals 1, and an array equals nothing as a whole.
    return any(type(value) is type(each) and value == each for each in known)


def _is_listed(values) -> bool:
    """Tells whether what can be iterated over is no text, and no array of one value."""
    return not isinstance(values, str | bytes) and getattr(values, "ndim", 1) > 0
