"""Options as fields of dataclasses: type, default, help and limits in one place.

A command's flags, the checks of their values and the documentation of the attributes
all come from the fields.
"""

import dataclasses
import textwrap
from collections.abc import Callable, Collection
from typing import Any, dataclass_transform, get_type_hints

from keras_roots.utils import checks

REQUIRED = dataclasses.MISSING  # for an option without a default
_OPTION = "option"


@dataclasses.dataclass(frozen=True)
class Limits:
    """What an option may be, and what it is called on the command line.

    Attributes:
        help: What it decides, for `--help` and the documentation.
        choices: The values that are allowed, of each item where it is a tuple.
        least: The smallest number that is allowed.
        most: The largest number that is allowed.
        flag: Name of its flag, if that is not the field's.
        parse: Function of the flag's text to the value, where the type alone does not
            tell.
        repeated: Whether the flag of a tuple is given once per item.
    """

    help: str
    choices: Collection | None = None
    least: float | None = None
    most: float | None = None
    flag: str | None = None
    parse: Callable[[str], Any] | None = None
    repeated: bool = False


def option(default, help: str, **limits) -> Any:
    """Returns a field of a dataclass of options.

    Args:
        default: Its default, or `REQUIRED`.
        help: What it decides.
        **limits: Further attributes of `Limits`.
    """
    return dataclasses.field(
        default=default, metadata={_OPTION: Limits(help, **limits)}
    )


@dataclass_transform(frozen_default=True, field_specifiers=(option,))
def options(cls):
    """Makes a frozen dataclass that documents its options, and checks their values.

    Values that the limits rule out raise a ValueError that names the attribute.
    """
    after = getattr(cls, "__post_init__", None)  # its own, or that of a parent

    def __post_init__(self):
        for field, limits in limits_of(type(self)).items():
            _check(field.name, getattr(self, field.name), limits)
        if after is not None:
            after(self)

    cls.__post_init__ = __post_init__
    cls = dataclasses.dataclass(frozen=True)(cls)
    lines = [f"{f.name}: {limits.help}" for f, limits in limits_of(cls).items()]
    if lines and "Attributes:" not in cls.__doc__:
        wrapped = [
            textwrap.fill(line, 80, initial_indent=" " * 8, subsequent_indent=" " * 12)
            for line in lines
        ]
        attributes = "\n".join(wrapped)
        cls.__doc__ = f"{cls.__doc__.rstrip()}\n\n    Attributes:\n{attributes}\n    "
    return cls


def limits_of(cls) -> dict[dataclasses.Field, Limits]:
    """Returns the options of a dataclass, those of its parents first."""
    return {
        field: field.metadata[_OPTION]
        for field in dataclasses.fields(cls)
        if _OPTION in field.metadata
    }


def changes_of(cls, whose: str) -> type:
    """Returns a dataclass of the same options that are all `None` by default.

    Args:
        cls: A dataclass of options.
        whose: What says the value of an option that stays `None`.
    """
    hints = get_type_hints(cls)
    fields = [
        (
            field.name,
            hints[field.name] | None,
            dataclasses.field(
                default=None,
                metadata={
                    _OPTION: dataclasses.replace(
                        limits, help=f"{limits.help} By default, {whose}."
                    )
                },
            ),
        )
        for field, limits in limits_of(cls).items()
    ]
    made = dataclasses.make_dataclass(f"{cls.__name__}Changes", fields, frozen=True)
    made.given = lambda self: {
        name: value
        for name, value in dataclasses.asdict(self).items()
        if value is not None
    }
    return made


def _check(name, value, limits):
    if value is None:
        return
    if limits.choices is not None:
        if isinstance(value, tuple):
            checks.choices(name, value, limits.choices)
        else:
            checks.choice(name, value, limits.choices)
    for bound, words in ((limits.least, "at least"), (limits.most, "at most")):
        if bound is None:
            continue
        outside = not checks.is_number(value)
        outside = outside or (value < bound if words == "at least" else value > bound)
        if outside:
            raise ValueError(
                f"`{name}` must be {words} {bound:g}. Received: {name}={value!r}"
            )
    if isinstance(value, float):
        checks.number(name, value)
