"""Copies of single layers: their configurations, whole, for new layers."""

import contextlib
import inspect

import keras
import numpy as np

from keras_roots.utils import checks


def configuration(layer: keras.Layer) -> dict:
    """Returns a layer's configuration, for a new layer in the same process.

    Functions, regularizers, constraints and initializers that are neither Keras' own
    nor registered are in it as they are: Keras would not find them by their names, and
    makes no lambda from a configuration, which might come from a file. So are partial
    functions and callable objects, for which `get_config` fails.

    Args:
        layer: The layer.
    """
    attributes, unnamed = vars(layer), _unnamed(layer)
    attributes.update(dict.fromkeys(unnamed, keras.activations.linear))
    try:
        config = layer.get_config()
    finally:
        attributes.update(unnamed)
    for key in config:
        own = getattr(layer, key, None)
        if key in unnamed or _is_foreign(own):
            config[key] = own
    return config


def copy_of(layer: keras.Layer, /, **changes) -> keras.Layer:
    """Returns a new layer of the same class and configuration, not built yet.

    Args:
        layer: The layer.
        **changes: Entries of the configuration to change.

    Raises:
        ValueError: Its class is somebody's own, and cannot be made anew, or would
            forget what it was made with.
    """
    with copying(layer):
        config = configuration(layer)
        _check_whole(layer, config)
        if type(layer) is keras.layers.Lambda:
            config |= {key: getattr(layer, key) for key in ("function", "mask")}
            config |= {"arguments": layer.arguments}
            config |= {"output_shape": layer._output_shape}
            return keras.layers.Lambda(**config | changes)
        return layer.__class__.from_config(config | changes)


def merged(layer: keras.Layer) -> tuple[dict, list[np.ndarray]]:
    """Returns a layer's configuration and weights, its LoRA merged into its kernel.

    Args:
        layer: The layer, with LoRA (`enable_lora`) or without. What an `activation`
            that is a layer holds comes after its own weights.

    Returns:
        The configuration, as for a new layer without LoRA, and the kernel, the bias if
        it has one, and other weights.
    """
    config = configuration(layer)
    if not getattr(layer, "lora_enabled", False):
        return config, layer.get_weights()
    config = {key: config[key] for key in config if not key.startswith("lora_")}
    weights = {weight.name: weight for weight in layer.weights}
    weights["kernel"] = layer.kernel
    kept = [name for name in weights if not name.startswith("lora_")]
    return config, [keras.ops.convert_to_numpy(weights[name]) for name in kept]


@contextlib.contextmanager
def copying(layer: keras.Layer):
    """Says what is at fault where a layer of somebody's class cannot be copied.

    Args:
        layer: The layer.

    Raises:
        ValueError: In place of any exception within; if the class is known, of a
            `TypeError`, by which Keras says what it cannot serialize.
    """
    own = type(layer)
    try:
        yield
    except Exception as error:
        if _is_known(own) and not isinstance(error, TypeError):
            raise
        spare = (
            " ... If it is made of other layers, "
            f"keras_roots.register_composite({own.__name__}) spares it the copy"
        )
        raise ValueError(
            "`model` must have layers that `get_config` and `from_config` make anew. "
            f"Received: layer {layer.name!r}, a {own.__name__}, of which that says: "
            f"{checks.quoted(error)}{'' if _is_known(own) else spare}"
        ) from error


def _check_whole(layer, config):
    """Checks that a configuration holds what a layer of somebody's class was made with.

    A subclass of `Conv2D` with an argument of its own inherits a `get_config` that
    leaves it out, and its copies would have the default.
    """
    maker = next(kind for kind in type(layer).__mro__ if "from_config" in vars(kind))
    given = getattr(getattr(layer, "_auto_config", None), "config", {})
    if not _is_known(maker):  # it makes the layer of other entries
        return
    parameters = inspect.signature(type(layer).__init__).parameters
    lost = [
        name
        for name, value in given.items()
        if name in parameters
        and name not in config
        and value is not parameters[name].default
        and value != parameters[name].default
    ]
    if lost and not _is_known(type(layer)):
        raise ValueError(
            f"its get_config leaves out {', '.join(lost)}, which it was made with"
        )


def _is_known(kind) -> bool:
    return kind.__module__.partition(".")[0] in ("keras", "keras_roots")


_PARTS = (
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.initializers.Initializer,
)


def _unnamed(layer) -> dict:
    """Returns callable arguments of a layer of Keras's that Keras has no name for."""
    arguments = inspect.signature(type(layer).__init__).parameters
    held = {key: vars(layer)[key] for key in arguments if key in vars(layer)}
    return {
        key: value
        for key, value in held.items()
        if callable(value)
        and not (inspect.isroutine(value) or inspect.isclass(value))
        and not hasattr(value, "get_config")
        and _is_known(type(layer))
    }


def _is_foreign(own) -> bool:
    """Whether a part of a layer is one that Keras does not find by its name."""
    if not inspect.isfunction(own):
        if not isinstance(own, _PARTS):
            return False
        own = type(own)
    known = keras.saving.get_registered_name(own) != own.__name__
    return not known and own.__module__.partition(".")[0] != "keras"
