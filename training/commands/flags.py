"""The flags of a binary, from the options of the dataclasses that it runs."""

import io
import shlex
import sys
import types
import typing
import warnings
from collections.abc import Callable

from absl import app, flags

from keras_roots import terminal
from keras_roots.training import options, runs

# Differs from machine to machine, and decides nothing.
_LOCAL = ("data_dir",)
_VERBOSE = "Whether to show the notes that TensorFlow, its converter and LiteRT write."
_INTERRUPTED = 130  # as shells give it for Ctrl-C


class Given:
    """The values of a binary's flags, as the dataclasses that they come from."""

    def __init__(self, classes, values=flags.FLAGS):
        self._classes = classes
        self._values = values

    def __getitem__(self, cls):
        """Returns an instance of a class of options, filled from the flags.

        Raises:
            ValueError: A value is not allowed.
        """
        values = {}
        for field, limits in options.limits_of(cls).items():
            value = self.value(limits.flag or field.name)
            if limits.parse is not None and value is not None:
                value = limits.parse(value)
            values[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)

    def value(self, name: str):
        """Returns the value of a flag by its name."""
        return self._values[name].value

    def present(self, name: str) -> bool:
        """Tells whether a flag was given."""
        return bool(self._values[name].present)

    def command(self, binary: str) -> str:
        """Returns the command line, without what differs from machine to machine."""
        given = [self._values[name] for name in names(self._classes)]
        texts = [f.serialize() for f in given if f.present and f.name not in _LOCAL]
        return shlex.join([binary, *(part for text in texts for part in _split(text))])


def command(main: Callable, doc: str, *classes: type) -> Callable[[], None]:
    """Returns the function that a console script calls.

    Args:
        main: Function of the `Given` flags.
        doc: What `--help` prints first: the docstring of the binary's module.
        *classes: Dataclasses of options. Two may share a flag that means the same.

    Returns:
        A function without arguments; `classes` is an attribute of it.
    """

    def run():
        define(classes)
        if terminal.VERBOSE not in flags.FLAGS:
            flags.DEFINE_bool(terminal.VERBOSE, False, _VERBOSE)
        for name in [*names(classes), terminal.VERBOSE]:
            flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
        sys.modules["__main__"].__doc__ = doc
        binary = main.__module__.rpartition(".")[2].replace("_", "-")
        app.run(
            lambda argv: _guarded(main, Given(classes), f"keras-roots-{binary}", argv)
        )

    run.classes = classes
    return run


def names(classes) -> list[str]:
    """Returns the names of the flags of classes of options."""
    return list(
        dict.fromkeys(
            limits.flag or field.name
            for cls in classes
            for field, limits in options.limits_of(cls).items()
        )
    )


def parse(classes, arguments) -> Given:
    """Returns the flags of classes of options, as a command line gives them.

    Args:
        classes: Dataclasses of options.
        arguments: The command line, without the name of the binary.

    Raises:
        flags.Error: A flag is unknown, or cannot have its value.
    """
    values = flags.FlagValues()
    define(classes, values)
    values(["keras-roots", *arguments])
    return Given(classes, values)


def define(classes, values=flags.FLAGS) -> None:
    """Defines the flags of classes of options.

    Args:
        classes: Dataclasses of options.
        values: Where to define them, each unless it is there already.

    Raises:
        ValueError: Two of the classes share a flag that does not mean the same.
    """
    defined = {}
    for cls in classes:
        hints = typing.get_type_hints(cls)
        for field, limits in options.limits_of(cls).items():
            name = limits.flag or field.name
            meaning = field.default, limits.help
            if defined.setdefault(name, meaning) != meaning:
                raise ValueError(
                    f"--{name} means two things: {defined[name]}, {meaning}"
                )
            if name not in values:
                _define(name, field.default, hints[field.name], limits, values)


def _define(name, default, hint, limits, values):
    kinds = _kinds(hint)
    own = {"flag_values": values}
    bounds = own | {"lower_bound": limits.least, "upper_bound": limits.most}
    if limits.parse is not None:
        flags.DEFINE_string(name, default, limits.help, **own)
    elif kinds == {int, tuple}:
        flags.DEFINE(
            _GroupsParser(),
            name,
            default,
            limits.help,
            serializer=_GroupsSerializer(),
            **own,
        )
    elif tuple in kinds and limits.repeated:
        flags.DEFINE_multi_enum(
            name, list(default), list(limits.choices), limits.help, **own
        )
    elif tuple in kinds:
        flags.DEFINE_list(name, default and list(default), limits.help, **own)
    elif bool in kinds:
        flags.DEFINE_bool(name, default, limits.help, **own)
    elif float in kinds:
        flags.DEFINE_float(name, default, limits.help, **bounds)
    elif int in kinds:
        flags.DEFINE_integer(name, default, limits.help, **bounds)
    elif limits.choices is not None:
        flags.DEFINE_enum(name, default, list(limits.choices), limits.help, **own)
    else:
        flags.DEFINE_string(name, default, limits.help, **own)


def _kinds(hint) -> set[type]:
    """Returns the types that a hint allows, `None` aside."""
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    parts = typing.get_args(hint) if union else (hint,)
    return {typing.get_origin(part) or part for part in parts} - {type(None)}


class _GroupsParser(flags.ArgumentParser):
    """Parses `8` to 8 and `8,4` to (8, 4)."""

    syntactic_help = "an integer, or one per stage separated by commas"

    def parse(self, argument):
        if isinstance(argument, int | tuple):
            return argument
        try:
            counts = tuple(int(part) for part in argument.split(","))
        except ValueError:
            raise ValueError(
                f"must be {self.syntactic_help}, such as 8 or 8,4. "
                f"Received: {argument!r}"
            ) from None
        return counts if len(counts) > 1 else counts[0]

    def flag_type(self):
        return "groups"


class _GroupsSerializer(flags.ArgumentSerializer):
    """Writes groups as `_GroupsParser` reads them."""

    def serialize(self, value):
        return str(value) if isinstance(value, int) else ",".join(map(str, value))


def _split(text) -> list[str]:
    # A flag that may be repeated serialises to a line per value.
    return text.split("\n")


def _guarded(main, given, binary, argv):
    """Turns what a user can put right into one line without a traceback."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
    runs.quiet()
    warnings.formatwarning = _one_line
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may have any characters
            stream.reconfigure(errors="backslashreplace")
    try:
        runs.record_command(given.command(binary))
        main(given)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    except Exception:
        terminal.tell()
        raise


def _one_line(message, *where):
    """Formats a warning as errors are: where in the code it was raised helps nobody."""
    del where
    return f"warning: {message}\n"
