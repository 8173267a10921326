"""Which filter groups nothing mixes, and 1x1s that mix them."""

import itertools
from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np

from keras_roots import graph
from keras_roots.graph import symbolic_inputs

# Applied twice, these give what they give applied once, also with a 1x1 between that is
# the identity.
_IDEMPOTENT = {
    getattr(keras.activations, name)
    for name in ("linear", "relu", "relu6")
    if hasattr(keras.activations, name)
}
# Convolutions that have an attribute `groups`, which other layers have too.
_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def find_unmixed(
    model: keras.Model,
    grouped: Mapping[int, str],
    input_shape: Sequence | None = None,
) -> dict[str, str]:
    """Returns convolutions whose filter groups nothing mixes, and what those reach.

    Groups that are never mixed split a network into parallel ones: a convolution
    without groups, a 1x1 for instance, or a dense layer has to follow before the next
    one with groups (Deep Roots, section 3).

    Args:
        model: A functional or Sequential model.
        grouped: Names of the convolutions that have groups, or shall have, by the `id`
            of the layer.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Returns:
        For the name of each unmixed one, the name of a convolution with groups that its
        output reaches, or `"an output"`.
    """
    unmixed: dict[str, str] = {}

    def meet(apart, name):
        for layer in apart:
            unmixed.setdefault(layer, name)

    def step(name, operation, output, notes):
        apart = frozenset().union(*notes)
        if _is_depthwise(operation):
            return apart
        if id(operation) in grouped or _has_groups(operation):
            meet(apart, name)
            return frozenset(filter(None, [grouped.get(id(operation))]))
        return frozenset() if _mixes(operation) else apart

    inputs = symbolic_inputs(model, input_shape)
    for apart in graph.annotate(model, inputs, frozenset(), step):
        meet(apart, "an output")
    return unmixed


def add_mixing(model: keras.Model, names: Collection[str]) -> keras.Model:
    """Returns a copy of a model with a 1x1, the identity, after some convolutions.

    It computes what the model does. A 1x1 comes after the convolution's own activation
    and has the same one where that changes nothing, ReLU for instance; biases are left
    to what follows.

    Args:
        model: A functional or Sequential model.
        names: Names of the convolutions, as `graph.operations` gives them; the 1x1s
            are called `NAME_mix`, or `NAME_mix1` and so on where that is taken.
    """
    chosen = {id(layer) for name, layer in graph.operations(model) if name in names}
    taken = {part for name, _ in graph.operations(model) for part in name.split("/")}

    def replace(layer):
        if id(layer) not in chosen:
            return None
        same = graph.copy_of(layer)
        mix = keras.layers.Conv2D(
            layer.filters,
            1,
            use_bias=False,
            activation=layer.activation if layer.activation in _IDEMPOTENT else None,
            data_format=layer.data_format,
            kernel_regularizer=layer.kernel_regularizer,
            dtype=layer.dtype_policy,
            name=_free_name(f"{layer.name}_mix", taken),
        )
        identity = np.eye(layer.filters, dtype="float32")[None, None]
        return graph.Replacement([same, mix], [layer.get_weights(), [identity]])

    return graph.rewrite(model, replace)


def _mixes(operation) -> bool:
    """Tells whether every output channel of an operation depends on all of its inputs.

    Where that is not known, it does not.
    """
    return graph.is_a(
        operation,
        *_CONVOLUTIONS,
        keras.layers.Conv2DTranspose,
        keras.layers.SeparableConv2D,
        keras.layers.Dense,
    )


def _has_groups(operation) -> bool:
    return graph.is_a(operation, *_CONVOLUTIONS) and operation.groups > 1


def _is_depthwise(operation) -> bool:
    """Tells whether every filter of a convolution sees one channel only."""
    return _has_groups(operation) and operation.kernel.shape[-2] == 1


def _free_name(name, taken) -> str:
    names = itertools.chain([name], (f"{name}{n}" for n in itertools.count(1)))
    free = next(name for name in names if name not in taken)
    taken.add(free)
    return free
