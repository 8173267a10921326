"""Rewriting a model: swap its layers for others and carry the weights over."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_roots.graph import walk
from keras_roots.graph.copies import copy_of, copying
from keras_roots.layers import FixedZeros


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
    with copying(layers[0]):
        outputs = layers[0](*args, **kwargs)
    for layer in layers[1:]:
        outputs = layer(outputs)
    return outputs


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
    with copying(layer):
        layer.set_weights(values)
    for part in layer._flatten_layers():
        if isinstance(part, keras.layers.Normalization):
            part.finalize_state()  # it computes with numbers that it takes from weights
