"""Functions of keras.ops in a graph, as the layers of Keras 3 that compute the same."""

from collections.abc import Callable

import keras
import numpy as np

_layers = keras.layers

# Of two tensors; of a tensor and a constant: scale and offset; of a constant and a
# tensor: likewise. `None` where no layer computes it.
_BINARY: dict[str, tuple[type | None, Callable | None, Callable | None]] = {
    "Add": (_layers.Add, lambda c: (1.0, c), lambda c: (1.0, c)),
    "Subtract": (_layers.Subtract, lambda c: (1.0, -c), lambda c: (-1.0, c)),
    "Multiply": (_layers.Multiply, lambda c: (c, 0.0), lambda c: (c, 0.0)),
    "Divide": (None, lambda c: (1 / c, 0.0), None),
    "TrueDivide": (None, lambda c: (1 / c, 0.0), None),
    "Maximum": (_layers.Maximum, None, None),
    "Minimum": (_layers.Minimum, None, None),
}

_UNARY: dict[str, Callable[[keras.Operation, str], keras.Layer]] = {
    "Negative": lambda operation, name: _layers.Rescaling(-1.0, name=name),
    "Identity": lambda operation, name: _layers.Identity(name=name),
    "ReLU": lambda operation, name: _layers.ReLU(
        operation.max_value, operation.negative_slope, operation.threshold, name=name
    ),
    **{
        kind: lambda operation, name, function=function: _layers.Activation(
            function, name=name
        )
        for kind, function in {
            "HardSigmoid": "hard_sigmoid",
            "HardSilu": "hard_silu",
            "Relu": "relu",
            "Relu6": "relu6",
            "Sigmoid": "sigmoid",
            "Silu": "silu",
            "Softplus": "softplus",
            "Softsign": "softsign",
            "Tanh": "tanh",
        }.items()
    },
}


def as_layer(operation: keras.Operation, args: tuple, kwargs: dict, tensor: type):
    """Returns a layer that computes what a function of keras.ops does.

    Args:
        operation: An operation of a graph. Layers are returned as they are.
        args: What it is called on.
        kwargs: The same by name.
        tensor: Type of the graph's tensors; what is of none is a constant.

    Returns:
        The layer, and what it is called on: arguments in order and by name. An
        operation that no layer computes is returned as it is.
    """
    unchanged = operation, args, kwargs
    kind = type(operation)
    if isinstance(operation, keras.Layer) or not kind.__module__.startswith("keras."):
        return unchanged
    values = [*args, *(kwargs[key] for key in ("x", "x1", "x2") if key in kwargs)]
    name = operation.name
    if kind.__name__ in _UNARY and len(values) == 1 and isinstance(values[0], tensor):
        return _UNARY[kind.__name__](operation, name), (values[0],), {}
    if kind.__name__ not in _BINARY or len(values) != 2:
        return unchanged
    merge, *by_constant = _BINARY[kind.__name__]
    tensors = [value for value in values if isinstance(value, tensor)]
    if len(tensors) == 2:
        same = len({len(value.shape) for value in tensors}) == 1
        return (merge(name=name), (tensors,), {}) if merge and same else unchanged
    if len(tensors) != 1:
        return unchanged
    place = 1 if isinstance(values[0], tensor) else 0
    make = by_constant[1 - place]
    # A constant with more axes than the tensor would give the result its axes.
    constant = np.asarray(values[place], "float32")
    if make is None or constant.ndim >= len(tensors[0].shape):
        return unchanged
    scale, offset = (np.asarray(x, "float32").tolist() for x in make(constant))
    return _layers.Rescaling(scale, offset, name=name), (tensors[0],), {}
