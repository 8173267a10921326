"""How a convolution or Dense layer of a model becomes two."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import Convolution
from keras_roots.layers import GroupedConv2D
from keras_roots.lowrank.methods import METHODS, Factors
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
    chosen: Mapping[int, tuple[str, Factors]],
) -> keras.Model:
    """Returns a copy of a model with some convolutions and Dense layers decomposed.

    Args:
        model: A functional or Sequential model.
        chosen: By `id` of a layer, the method and what it makes of the layer.
    """
    taken = {operation.name for _, operation in graph.operations(model)}

    def replace(layer):
        if id(layer) not in chosen:
            return None
        method, factors = chosen[id(layer)]
        scheme = METHODS[method].scheme
        first_name = _free_name(f"{layer.name}_{scheme.suffix}", taken)
        taken.add(first_name)
        return replacement(layer, scheme, factors, first_name)

    return graph.rewrite(model, replace)


def replacement(
    layer: keras.Layer, scheme: Scheme, factors: Factors, first_name: str
) -> graph.Replacement:
    """Returns the two layers of its kind that take the place of a layer.

    Args:
        layer: A `keras.layers.Conv2D`, `GroupedConv2D` or `keras.layers.Dense`. The
            second takes over its activation, with the weights of an activation that is
            a layer.
        scheme: How they share its settings.
        factors: Their kernels.
        first_name: Name of the first; the second has the layer's.
    """
    config, (_, *others) = graph.merged(layer)
    common = {key: config[key] for key in config if key not in _NEITHER_HAS}
    whole = Convolution.of(layer)
    if whole.groups > 1:
        common["lowering"] = config.get("lowering", "auto")
    rank = factors.first.shape[-1]
    kind, width, settings = _SETTINGS[whole.kind](whole, scheme)
    first = {**common, **settings[0], **_FIRST_HAS_NO}
    first |= {"name": first_name, width: rank}
    use_bias = layer.use_bias or factors.shift is not None
    second = {**common, **settings[1], "use_bias": use_bias}
    dimensions = slice(-layer.kernel.ndim, None)
    weights = [
        [kernel.reshape(kernel.shape[dimensions])]
        for kernel in (factors.first, factors.second)
    ]
    if use_bias:
        weights[1].append(_bias(layer, factors.shift))
    weights[1] += others[layer.use_bias :]
    return graph.Replacement(
        [kind.from_config(first), kind.from_config(second)], weights
    )


def _of_convolutions(whole, scheme):
    settings = [
        {"kernel_size": size, "strides": strides, "dilation_rate": dilation}
        for size, strides, dilation in zip(
            scheme.split(whole.kernel_shape[:2]),
            scheme.split(whole.strides),
            scheme.split(whole.dilation),
            strict=True,
        )
    ]
    kind = GroupedConv2D if whole.groups > 1 else keras.layers.Conv2D
    return kind, "filters", settings


# By kind: the class of both, what its filters are called, and their own settings.
_SETTINGS = {
    "Conv2D": _of_convolutions,
    "Dense": lambda whole, scheme: (keras.layers.Dense, "units", [{}, {}]),
}


def _bias(layer, shift) -> np.ndarray:
    bias = np.zeros(layer.kernel.shape[-1])
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
