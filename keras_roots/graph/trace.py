"""Traces of composite layers: functional models of what their calls do."""

import inspect
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_roots.graph.walk import symbolic_inputs, walk
from keras_roots.utils import checks

_SIDE = 32  # of the images that a layer is compared on, where its own are of any size
_TOLERANCE = 1e-4  # of the largest output


def trace(layer: keras.Layer, call: Callable, calls: Sequence) -> keras.Model:
    """Returns a functional model over the layers of a composite layer.

    Args:
        layer: The composite layer.
        call: Function of it and what it is called on; returns its outputs.
        calls: What each of its calls is on: tensors, or structures of them.

    Raises:
        ValueError: The call cannot be traced, uses weights outside of layers, or
            returns something else than the layer does.
    """
    inputs = keras.tree.map_structure(_input, *calls)
    given = keras.tree.map_structure(lambda x: _cast(x, layer), inputs)
    title = f"layer {layer.name!r}, a {type(layer).__name__},"
    try:
        outputs = call(layer, given)
        traced = keras.Model(inputs, outputs, name=layer.name)
    except Exception as error:
        raise ValueError(
            f"`model` has a composite {title} which cannot be made into a functional "
            "model by its call, or by the function that register_composite was given: "
            "it must use its layers and keras.ops alone. "
            f"Received: {checks.quoted(error)}"
        ) from error
    _check_weights(traced, title)
    _check_outputs(layer, traced, title)
    return traced


def _input(*specs) -> keras.KerasTensor:
    """Returns an input for all calls: sides that differ are unknown."""
    sides = [
        side[0] if len(set(side)) == 1 else None
        for side in zip(*(spec.shape[1:] for spec in specs), strict=True)
    ]
    return keras.Input(sides, dtype=specs[0].dtype)


def _cast(tensor, layer):
    """What Keras does before it calls a layer."""
    floats = keras.backend.is_float_dtype(tensor.dtype)
    if not (layer.autocast and floats) or tensor.dtype == layer.compute_dtype:
        return tensor
    return keras.ops.cast(tensor, layer.compute_dtype)


def _check_weights(traced, title):
    found = []

    def call(name, operation, args, kwargs):
        flat = keras.tree.flatten((args, kwargs))
        found.extend(x.path for x in flat if isinstance(x, keras.Variable))
        return operation.compute_output_spec(*args, **kwargs)

    walk(traced, symbolic_inputs(traced), call)
    if found:
        raise ValueError(
            f"`model` has a composite {title} that uses weights outside of layers: "
            f"{', '.join(found)}. Put each into a layer of its own, registered by "
            "keras.saving.register_keras_serializable"
        )


def _check_outputs(layer, traced, title):
    rng = np.random.default_rng(0)

    def draw(tensor):
        shape = [_SIDE if side is None else side for side in tensor.shape[1:]]
        values = rng.uniform(0, 2, (2, *shape))
        return keras.ops.convert_to_tensor(values, dtype=tensor.dtype)

    inputs = keras.tree.map_structure(draw, traced.input)
    outputs = [
        [
            np.asarray(keras.ops.convert_to_numpy(output), "float64")
            for output in keras.tree.flatten(call(inputs))
        ]
        for call in (_in_inference(layer), _in_inference(traced))
    ]
    if len(outputs[0]) == len(outputs[1]) and all(map(_same, *outputs)):
        return
    raise ValueError(
        f"`model` has a composite {title} whose layers, put together by its call or by "
        "the function that register_composite was given, return something else than "
        "the layer does"
    )


def _in_inference(layer) -> Callable:
    named = "training" in inspect.signature(layer.call).parameters
    return lambda inputs: layer(inputs, **({"training": False} if named else {}))


def _same(ours, theirs) -> bool:
    if ours.shape != theirs.shape:
        return False
    size = np.abs(ours).max(initial=1e-30)
    return bool(np.abs(ours - theirs).max(initial=0) <= _TOLERANCE * size)
