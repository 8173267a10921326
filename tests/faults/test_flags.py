"""Senseless values of every flag of every console script: refused in one line by name.

Nothing is built or read: the flags become the dataclasses that the script runs.
"""

import configparser
import importlib
import os
import re
from pathlib import Path

import pytest
from absl import flags as absl_flags

from keras_roots.training import options
from keras_roots.training.commands import flags
from keras_roots.training.trainer import Changes, get_recipe

VALUES = (
    *("", " ", "word", "-1", "0", "1.5", "nan", "inf", "-inf", "1e300", str(10**30)),
    *(os.devnull, os.curdir, "münchen-☃", "a,b", ",", "1,2", "True", "None", "a=b"),
    *("a=", "=", "x" * 5000, "-", "--", "1,", "0x10", "\n", "\udcff"),
)

# What else would be refused first.
_FOLDER = ("--output_dir=out",)
REQUIRED = {
    "keras-roots-performance": _FOLDER,
    "keras-roots-reproduce": _FOLDER,
    "keras-roots-check": (*_FOLDER, "--networks=root_nin"),
}


def _commands():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    for line in setup["options.entry_points"]["console_scripts"].split("\n"):
        if line.strip():
            name, _, target = line.partition("=")
            module, _, function = target.strip().partition(":")
            yield name.strip(), module, function


@pytest.mark.parametrize(("name", "module", "function"), [*_commands()])
def test_senseless_values(name, module, function, count):
    classes = getattr(importlib.import_module(module), function).classes
    required, tried, wrong = REQUIRED.get(name, ()), 0, []
    for cls in classes:
        for field, limits in options.limits_of(cls).items():
            flag = limits.flag or field.name
            for value in VALUES:
                tried += 1
                try:
                    given = flags.parse(classes, [*required, f"--{flag}={value}"])
                    accepted = getattr(given[cls], field.name)
                    if cls is Changes:
                        get_recipe("root_nin", "digits", **given[Changes].given())
                except (ValueError, absl_flags.Error) as error:
                    named = re.search(rf"\b({flag}|{field.name})\b", str(error))
                    if not named or "\n" in str(error).replace(value, value.strip()):
                        wrong.append((flag, value[:20], str(error)))
                except Exception as error:
                    wrong.append((flag, value[:20], repr(error)))
                else:
                    if _is_senseless(accepted):
                        wrong.append((flag, value[:20], f"accepted: {accepted!r}"))
    assert not wrong, "\n".join(map(repr, wrong))
    count("senseless values of flags", tried)


def _is_senseless(value) -> bool:
    """Numbers that nothing can be computed with."""
    return isinstance(value, float) and not abs(value) <= 1e30
