"""Rewriting a model: swap its layers for others and carry the weights over."""

import contextlib
import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_roots.graph import walk
from keras_roots.layers import FixedZeros

_SHOWN = 300  # characters of another's message


class Replacement(NamedTuple):
    """Layers that take the place of one layer, called one after the other.

    Attributes:
        layers: New layers, not built yet; none to leave the layer out.
        weights: Their weights, one list of arrays per layer, as for `set_weights`.
    """

    layers: Sequence[keras.Layer]
    weights: Sequence[Sequence[np.ndarray]]


def rewrite(
    model: keras.Model,
    replace: Callable[[keras.Layer], keras.Layer | Replacement | None],
    *,
    any_size: bool = False,
) -> keras.Model:
    """Returns a copy of a model in which some layers are replaced.

    Args:
        model: A functional model, or a Sequential one that is built; models within it
            are rewritten too. It stays as it is.
        replace: Function of each layer. `None` copies the layer with its weights, a
            new layer takes over its weights, a `Replacement` brings its own, and
            a functional model over other layers is copied as a model within.
        any_size: Whether the copy takes images of any height and width: `(batch, None,
            None, channels)`, with channels last.

    Returns:
        A functional model of the same name, not compiled.

    Raises:
        ValueError: The model is neither functional nor a built Sequential, or one of
            its layers needs to know the size of the images.
    """
    chains: dict[int, list[keras.Layer]] = {}
    weights: list[tuple[keras.Layer, Sequence[np.ndarray]]] = []
    taken = {part for name, _ in walk.operations(model) for part in name.split("/")}

    def chain(layer):
        # By identity: what models within the model share, their copies share too.
        if id(layer) not in chains:
            asks = isinstance(layer, keras.Layer) and not walk.is_graph(layer)
            new = replace(layer) if asks else layer
            if walk.is_graph(new):
                chains[id(layer)] = [clone(new)]
            else:
                chains[id(layer)] = _new_layers(layer, new, weights, taken)
        return chains[id(layer)]

    def clone(model):
        model = _functional(model)
        inputs = keras.tree.map_structure(_free, model.input) if any_size else None
        return keras.models.clone_model(
            model, inputs, clone_function=chain, call_function=_call
        )

    copy = clone(model)
    for layer, values in weights:
        _set_weights(layer, values)
    return copy


def reconfigure(
    model: keras.Model, change: Callable[[keras.Layer], dict | None]
) -> keras.Model:
    """Returns a copy of a model with some layers configured otherwise.

    Args:
        model: As for `rewrite`.
        change: Function of each layer: the entries of its configuration to change, or
            `None`. Shapes of weights must stay the same.

    Raises:
        ValueError: As for `rewrite`.
    """

    def replace(layer):
        changed = change(layer)
        return copy_of(layer, **changed) if changed else None

    return rewrite(model, replace)


def configuration(layer: keras.Layer) -> dict:
    """Returns a layer's configuration, for a new layer in the same process.

    Functions, regularizers, constraints and initializers that are neither Keras' own
    nor registered are in it as they are: Keras would not find them by their names, and
    makes no lambda from a configuration, which might come from a file.

    Args:
        layer: The layer.
    """
    config = layer.get_config()
    for key in config:
        own = getattr(layer, key, None)
        if _is_foreign(own):
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
    with _copying(layer):
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


def select(
    layer: keras.Layer, indices: Mapping[str, Mapping[int, np.ndarray | None]]
) -> tuple[dict, list[np.ndarray]]:
    """Takes channels from a layer's weights, and from the masks of `FixedZeros`.

    Args:
        layer: The layer.
        indices: For weights by name, for their axes, the channels to take, in order;
            `None` for all of them as they are.

    Returns:
        The entries of the configuration that change, and all weights.
    """
    changed: dict = {}
    weights = []
    for variable, values in zip(layer.weights, layer.get_weights(), strict=True):
        axes = indices.get(variable.name, {})
        weights.append(_take(values, axes))
        held = variable.constraint
        if isinstance(held, FixedZeros):
            moved = FixedZeros(_take(held.mask, axes), held.constraint)
            keys = (key for key in layer.get_config() if _is_held(layer, key, held))
            changed |= dict.fromkeys(keys, moved)
    return changed, weights


def _take(values, axes) -> np.ndarray:
    for axis, channels in axes.items():
        if channels is not None:
            values = np.take(values, channels, axis=axis)
    return values


def _is_held(layer, key, constraint) -> bool:
    return key.endswith("_constraint") and getattr(layer, key, None) is constraint


_PARTS = (
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.initializers.Initializer,
)


def _is_foreign(own) -> bool:
    """Whether a part of a layer is one that Keras does not find by its name."""
    if not inspect.isfunction(own):
        if not isinstance(own, _PARTS):
            return False
        own = type(own)
    known = keras.saving.get_registered_name(own) != own.__name__
    return not known and own.__module__.partition(".")[0] != "keras"


def _functional(model):
    """Returns an uncompiled functional model over the same layers."""
    walk.check_built(model)
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def _free(tensor) -> keras.KerasTensor:
    """Returns an input as a tensor, of any height and width if it is an image."""
    batch, *sides, channels = tensor.shape
    shape = (batch, None, None, channels) if len(sides) == 2 else tensor.shape
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor.name)


def _call(layers, *args, **kwargs):
    """Calls layers one after the other."""
    if not layers:
        return args[0] if args else next(iter(kwargs.values()))
    # Keras names arguments that were not given, which other layers may not have.
    kwargs = {name: value for name, value in kwargs.items() if value is not None}
    with _copying(layers[0]):
        outputs = layers[0](*args, **kwargs)
    for layer in layers[1:]:
        outputs = layer(outputs)
    return outputs


@contextlib.contextmanager
def _copying(layer):
    """Says what is at fault where a layer of somebody's class cannot be copied."""
    own = type(layer)
    try:
        yield
    except Exception as error:
        if _is_known(own):
            raise
        raise ValueError(
            "`model` must have layers that `get_config` and `from_config` make anew. "
            f"Received: layer {layer.name!r}, a {own.__name__}, of which that says: "
            f"{str(error).strip()[:_SHOWN]} ... If it is made of other layers, "
            f"keras_roots.register_composite({own.__name__}) spares it the copy"
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


def _new_layers(layer, replacement, weights, taken) -> list[keras.Layer]:
    if not isinstance(layer, keras.Layer):  # an operation of keras.ops
        return [layer.__class__.from_config(layer.get_config())]
    if replacement is None:
        replacement = copy_of(layer)
    if not isinstance(replacement, Replacement):
        weights.append((replacement, layer.get_weights()))
        return [replacement]
    layers = _named_apart(replacement.layers, layer.name, taken)
    weights.extend(zip(layers, replacement.weights, strict=True))
    return layers


def _named_apart(layers, own, taken) -> list[keras.Layer]:
    """Returns new layers, called otherwise where others have their names.

    Args:
        layers: The new layers, not built.
        own: Name of the layer whose place they take, which one of them may have.
        taken: Names in the model, to which theirs are added.
    """
    others = taken - {own}
    named = []
    for layer in layers:
        if layer.name in others:
            names = (f"{layer.name}_{number}" for number in itertools.count(2))
            free = next(name for name in names if name not in taken | others)
            layer = copy_of(layer, name=free)
        others.add(layer.name)
        named.append(layer)
    taken |= others
    return named


def _set_weights(layer, values):
    with _copying(layer):
        layer.set_weights(values)
    for part in layer._flatten_layers():
        if isinstance(part, keras.layers.Normalization):
            part.finalize_state()  # it computes with numbers that it takes from weights
