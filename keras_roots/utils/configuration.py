"""Configurations of Keras objects, without the arguments that have their defaults.

Keras writes every argument of a layer or an initialiser, also those that only its own
version knows: Keras 3.15 writes `"input_axes": null` for `HeNormal`, which 3.12 refuses
to read. An argument that has its default need not be written.
"""

import copy
import importlib
import inspect
import json

import keras


def without_defaults(configuration):
    """Returns a serialised Keras object without arguments that have their defaults.

    Args:
        configuration: What `keras.saving.serialize_keras_object` returns, or a part of
            it. It stays as it is.

    Returns:
        Such a configuration, of the same object. Objects whose class is not found or
        needs its arguments, and the structure of models, are left as they are, but for
        what is in them.
    """
    if isinstance(configuration, list | tuple):
        return type(configuration)(map(without_defaults, configuration))
    if not isinstance(configuration, dict):
        return configuration
    inner = {key: without_defaults(value) for key, value in configuration.items()}
    arguments = inner.get("config")
    if "class_name" not in inner or not isinstance(arguments, dict):
        return inner
    defaults = _defaults(_class(inner))
    fewer = {
        key: value
        for key, value in arguments.items()
        if key not in defaults or not _same(value, defaults[key])
    }
    stripped = {**inner, "config": fewer}
    return stripped if fewer == arguments or _means(stripped, inner) else inner


def _means(stripped, whole) -> bool:
    """Returns whether both are read, as the same object."""
    try:
        # Reading takes entries out of some configurations.
        copies = copy.deepcopy((stripped, whole))
        objects = map(keras.saving.deserialize_keras_object, copies)
        ours, theirs = map(keras.saving.serialize_keras_object, objects)
    except Exception:  # classes that read their configuration in a way of their own
        return False
    return _same(ours["config"], theirs["config"])


def _class(configuration) -> type | None:
    """Returns the class of a serialised object, if it is one that can be stripped."""
    kind = keras.saving.get_registered_object(configuration.get("registered_name"))
    if kind is None and configuration.get("module"):
        try:
            module = importlib.import_module(configuration["module"])
        except ImportError:
            return None
        kind = getattr(module, configuration["class_name"], None)
    if not isinstance(kind, type) or issubclass(kind, keras.Model):
        return None
    return kind


def _defaults(kind) -> dict:
    """Returns the defaults of a constructor's arguments, also of those it passes on."""
    defaults = {}
    for parent in kind.__mro__ if kind else ():
        if "__init__" not in vars(parent) or parent is object:
            continue
        parameters = inspect.signature(parent.__init__).parameters.values()
        for parameter in parameters:
            if parameter.default is not parameter.empty:
                defaults.setdefault(parameter.name, parameter.default)
        if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters):
            break
    return defaults


def _same(value, default) -> bool:
    """Returns whether a value would be written as a default: `1` is not `true`."""
    try:
        return json.dumps(value) == json.dumps(default)
    except TypeError:
        return False
