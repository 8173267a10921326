"""Convolutions of other kinds, taken apart into 2D ones, and put together again."""

import itertools
from collections.abc import Collection

import keras

from keras_roots.graph.composite import expand_composites
from keras_roots.graph.connections import Connections
from keras_roots.graph.kinds import obstacle
from keras_roots.graph.part_rules import RULES
from keras_roots.graph.surgery import Replacement, rewrite
from keras_roots.graph.walk import operations


def take_apart(
    model: keras.Model, kinds: Collection[type] = tuple(RULES)
) -> keras.Model:
    """Returns a model whose convolutions of other kinds are made of 2D convolutions.

    Techniques change 2D convolutions. The layer `conv` becomes, computing the same,

    * a `SeparableConv2D`: `conv_depthwise`, a `DepthwiseConv2D`, and `conv`, the 1x1;
    * a `Conv1D`: `conv`, of a kernel as high as its images of one row, between two
      `Reshape` layers, `conv_2d` and `conv_1d`, behind `conv_padding` if it is causal;
    * a `SeparableConv1D`: `conv_depthwise`, a `DepthwiseConv1D`, and what a `Conv1D`
      becomes;
    * a `Conv2DTranspose` whose kernel is as large as its strides: `conv`, a 1x1 with
      the filters and biases of every place of the kernel, and `conv_blocks`,
      `conv_order` and `conv_map`, which move them there.

    Args:
        model: A functional model, or a Sequential one that is built. It stays as it is.
        kinds: Classes of the layers to take apart.

    Returns:
        `expand_composites` of the model, itself if it has no such layers; else a copy.

    Raises:
        ValueError: As for `expand_composites`.
    """
    model = expand_composites(model)
    connections = Connections(model)
    parts = {
        id(layer): (RULES[type(layer)], names, connections.input(layer))
        for _, layer, names in _divisible(model, connections)
        if type(layer) in kinds
    }
    if not parts:
        return model

    def replace(layer):
        if id(layer) not in parts:
            return None
        rule, names, tensor = parts[id(layer)]
        return Replacement(*zip(*rule.apart(layer, names, tensor), strict=True))

    return rewrite(model, replace)


def put_together(model: keras.Model, original: keras.Model) -> keras.Model:
    """Puts parts together again in a model that was changed since.

    Args:
        model: A copy of `take_apart(original)` with some layers replaced.
        original: The model, after `expand_composites`.

    Returns:
        The model itself if there is nothing to put together; else a copy. A layer whose
        parts were not replaced is what it was, with the weights of its parts. One whose
        parts are several convolutions now is several of its kind, if it is a `Conv1D`.
    """
    found = dict(operations(model))
    connections = Connections(model)
    together: dict[int, Replacement] = {}
    for prefix, layer, names in _divisible(original, Connections(original)):
        first = found.get(f"{prefix}{names[0]}")
        path = connections.path(first, names[-1]) if first else []
        if path:
            together |= RULES[type(layer)].together(layer, path)
    if not together:
        return model
    return rewrite(model, lambda layer: together.get(id(layer)))


def why_whole(layer: keras.Layer, tensor: keras.KerasTensor | None = None) -> str:
    """Returns why `take_apart` leaves a layer of the kinds that it knows whole.

    Args:
        layer: Any layer. The answer is empty if it is of no such kind.
        tensor: Shape and type of its input in all of its calls; `None` where calls
            differ.
    """
    kind = next((kind for kind in RULES if isinstance(layer, kind)), None)
    if kind is None:
        return ""
    return obstacle(layer, kind) or RULES[kind].obstacle(layer, tensor)


def _divisible(model, connections) -> list[tuple[str, keras.Layer, list[str]]]:
    """The layers to take apart, and names for their parts that no layer has.

    Each with the names of the models that it is nested in, `"outer/"`.
    """
    every = list(operations(model))
    taken = {layer.name for _, layer in every}
    found: dict[int, tuple[str, keras.Layer, list[str]]] = {}
    for full_name, layer in every:
        if id(layer) in found or type(layer) not in RULES:
            continue
        if why_whole(layer, connections.input(layer)):
            continue
        names = []
        for suffix in RULES[type(layer)].suffixes(layer):
            name = f"{layer.name}{suffix}"
            numbered = (f"{name}_{number}" for number in itertools.count(2))
            while suffix and name in taken:
                name = next(numbered)
            taken.add(name)
            names.append(name)
        found[id(layer)] = full_name.removesuffix(layer.name), layer, names
    return list(found.values())
