"""How a convolution of a model becomes two."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_roots import graph
from keras_roots.layers import GroupedConv2D
from keras_roots.lowrank.methods import METHODS, Factors, Target
from keras_roots.lowrank.schemes import Scheme

# Settings of what is not a kernel go to the second convolution alone.
_FIRST_HAS_NO = {
    "use_bias": False,
    "activation": "linear",
    "activity_regularizer": None,
    "bias_regularizer": None,
    "bias_constraint": None,
}
# A constraint is on the layer's kernel, not on factors of it.
_NEITHER_HAS = ("lowering", "kernel_constraint")


def replace_layers(
    model: keras.Model,
    chosen: Mapping[int, tuple[str, int, Target]],
) -> keras.Model:
    """Returns a copy of a model with some convolutions decomposed.

    Args:
        model: A functional or Sequential model.
        chosen: By `id` of a layer, the method, the rank over all groups, and what is to
            be approximated.
    """
    taken = {operation.name for _, operation in graph.operations(model)}

    def replace(layer):
        if id(layer) not in chosen:
            return None
        name, rank, target = chosen[id(layer)]
        method = METHODS[name]
        factors = method.factorise(target, rank // target.groups)
        first_name = _free_name(f"{layer.name}_{method.scheme.suffix}", taken)
        taken.add(first_name)
        return replacement(layer, method.scheme, factors, first_name)

    return graph.rewrite(model, replace)


def replacement(
    layer: keras.layers.Conv2D, scheme: Scheme, factors: Factors, first_name: str
) -> graph.Replacement:
    """Returns the two convolutions that take the place of a layer.

    Args:
        layer: A `keras.layers.Conv2D` or `GroupedConv2D`. The second takes over its
            activation, with the weights of an activation that is a layer.
        scheme: How they share its settings.
        factors: Their kernels.
        first_name: Name of the first; the second has the layer's.
    """
    config, (_, *others) = graph.merged(layer)
    common = {key: config[key] for key in config if key not in _NEITHER_HAS}
    if layer.groups > 1:
        convolution = GroupedConv2D
        common["lowering"] = config.get("lowering", "auto")
    else:
        convolution = keras.layers.Conv2D
    settings = [
        {"kernel_size": size, "strides": strides, "dilation_rate": dilation}
        for size, strides, dilation in zip(
            scheme.split(layer.kernel_size),
            scheme.split(layer.strides),
            scheme.split(layer.dilation_rate),
            strict=True,
        )
    ]
    rank = factors.first.shape[-1]
    first = {**common, **settings[0], **_FIRST_HAS_NO}
    first |= {"name": first_name, "filters": rank}
    use_bias = layer.use_bias or factors.shift is not None
    second = {**common, **settings[1], "use_bias": use_bias}
    weights = [[factors.first], [factors.second]]
    if use_bias:
        weights[1].append(_bias(layer, factors.shift))
    weights[1] += others[layer.use_bias :]
    return graph.Replacement(
        [convolution.from_config(first), convolution.from_config(second)], weights
    )


def _bias(layer, shift) -> np.ndarray:
    bias = np.zeros(layer.filters)
    if layer.use_bias:
        bias += keras.ops.convert_to_numpy(layer.bias).astype("float64")
    return bias if shift is None else bias + shift


def _free_name(name, taken) -> str:
    """Returns the name, numbered where a layer that was decomposed before has it."""
    numbered = name
    number = 1
    while numbered in taken:
        number += 1
        numbered = f"{name}_{number}"
    return numbered
