"""What the lowest version of Keras that setup.cfg allows can read.

`keras-lowest.json` names the arguments of its classes. Written by that version:

  make lowest
  .venv-lowest/bin/python tests/lowest_keras.py > tests/keras-lowest.json
"""

import contextlib
import inspect
import json
from pathlib import Path

import keras

TABLE = Path(__file__).with_name("keras-lowest.json")
_MODULES = ("constraints", "initializers", "layers", "regularizers")


def arguments() -> dict[str, dict[str, list[str]]]:
    """The arguments that each class of the running Keras takes, by module."""
    found = {}
    for name in _MODULES:
        module = getattr(keras, name)
        found[f"keras.{name}"] = {
            key: sorted(_arguments(kind))
            for key, kind in sorted(vars(module).items())
            if isinstance(kind, type) and key == kind.__name__
        }
    return found


def _arguments(kind) -> set[str]:
    names = set()
    for parent in kind.__mro__:
        if "__init__" not in vars(parent) or parent is object:
            continue
        parameters = inspect.signature(parent.__init__).parameters.values()
        names |= {x.name for x in parameters if x.kind != x.VAR_KEYWORD}
        if all(x.kind != x.VAR_KEYWORD for x in parameters):
            break
    with contextlib.suppress(TypeError, ValueError, NotImplementedError):
        names |= set(kind().get_config())
    return names - {"self"}


def unknown(configuration, table) -> list[str]:
    """What of a configuration the lowest version does not know, in words."""
    if isinstance(configuration, list):
        return [line for part in configuration for line in unknown(part, table)]
    if not isinstance(configuration, dict):
        return []
    lines = [line for part in configuration.values() for line in unknown(part, table)]
    if not isinstance(configuration.get("config"), dict):
        return lines
    module, kind = configuration.get("module"), configuration.get("class_name")
    # What layers get besides, and read without their constructor.
    accepted = {"dtype", "name", "trainable"}
    registered = keras.saving.get_registered_object(
        configuration.get("registered_name")
    )
    if str(configuration.get("registered_name")).startswith("keras_roots>"):
        accepted |= set(inspect.signature(registered).parameters)
        base = next(x for x in registered.__mro__ if x.__module__.startswith("keras."))
        kind = base.__name__
        module = next(x for x in table if kind in table[x])
    if module not in table:
        return lines
    if kind not in table[module]:
        return [*lines, f"{module}.{kind}"]
    accepted |= set(table[module][kind])
    return lines + [
        f"{kind}({x})" for x in configuration["config"] if x not in accepted
    ]


if __name__ == "__main__":
    print(json.dumps({"version": keras.version(), **arguments()}))
