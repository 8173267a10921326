"""Composite layers: layers of layers, made into models so that those can be reached."""

import collections
import inspect
import itertools
import re
from collections.abc import Callable

import keras

from keras_roots.graph.program import check_built, is_graph
from keras_roots.graph.surgery import rewrite
from keras_roots.graph.trace import trace
from keras_roots.graph.walk import operations, symbolic_inputs, walk
from keras_roots.utils import checks

# What is called on the outermost tensors of a layer, by the layer's class.
_CALLS: dict[type, Callable] = {}


def register_composite(layer_class: type, call: Callable | None = None) -> type:
    """Tells how a layer of a class of one's own is made of other layers.

    Techniques change the layers that a model's graph shows. Those within a layer of
    another class, a block of convolution, normalisation and activation for instance,
    they reach if the class is registered: then such a layer becomes a functional model
    of its name, made of its own layers with their weights, and results are models
    without the class. Its layers are called by the attributes that hold them,
    `"block1/conv"`, where they have no names of their own.

    Args:
        layer_class: A subclass of `keras.Layer` or `keras.Model`. Its instances must be
            called on one argument, a tensor or a structure of tensors.
        call: Function of a layer and what it is called on, symbolic tensors; returns
            its outputs, by the layer's layers and `keras.ops` alone. `None` for the
            layer's `call`, which will do unless it uses weights of the layer itself.

    Returns:
        The class, so that the function is a decorator of classes too.

    Raises:
        ValueError: `layer_class` is no class of layers of one's own, or `call` is no
            function of two arguments.

    Example:
        >>> @keras_roots.register_composite
        ... class ConvBNAct(keras.layers.Layer): ...
    """
    if not inspect.isclass(layer_class) or not issubclass(layer_class, keras.Layer):
        raise ValueError(
            "`layer_class` must be a class of layers. "
            f"Received: layer_class={layer_class!r}"
        )
    if not _is_foreign(layer_class):
        raise ValueError(
            "`layer_class` must be a class of your own: those of Keras are known. "
            f"Received: layer_class={layer_class!r}"
        )
    if call is not None:
        checks.function("call", call, "layer", "inputs")
    _CALLS[layer_class] = call or _own_call
    return layer_class


def expand_composites(model: keras.Model) -> keras.Model:
    """Returns a model whose registered composite layers are models within it.

    Args:
        model: A functional model, or a Sequential one that is built. It stays as it is.

    Returns:
        The model itself if it has none; else a copy, functional, not compiled. What
        layers share, their copies share.

    Raises:
        ValueError: `model` is no such model; a composite layer is called on more than
            one argument, cannot be traced, uses weights outside of layers, or its
            function returns something else than the layer does.
    """
    check_built(model)
    if not any(type(layer) in _CALLS for _, layer in operations(model)):
        return model
    expansion = _Expansion()
    try:
        expansion.note_calls(model)
        return rewrite(model, expansion)
    finally:
        expansion.forget()


def closed_layers(model: keras.Model, kind: type | tuple) -> dict[str, keras.Layer]:
    """Returns layers of other classes than Keras's that hold layers of a kind.

    Args:
        model: A functional model, or a Sequential one that is built.
        kind: Class, or classes, of the layers within.

    Returns:
        Layers by name, those that `register_composite` would open.
    """
    return {
        name: layer
        for name, layer in operations(model)
        if isinstance(layer, keras.Layer)
        and _is_foreign(type(layer))
        and any(isinstance(inner, kind) for inner in _inner(layer))
    }


def how_to_open(layers: dict[str, keras.Layer]) -> str:
    """Returns a sentence on closed layers and how to open them, "" without any.

    Args:
        layers: Layers by name, as from `closed_layers`.
    """
    if not layers:
        return ""
    names = [f"{name!r} ({type(x).__name__})" for name, x in layers.items()]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    opaque = {
        type(layer).__name__ for layer in layers.values() if not _is_traceable(layer)
    }
    calls = " and ".join(
        f"keras_roots.register_composite({name}{', call' * (name in opaque)})"
        for name in sorted({type(layer).__name__ for layer in layers.values()})
    )
    how = (
        ". `call(layer, inputs)` must return what the layer does by its layers and "
        f"keras.ops alone, which the call of {' and '.join(sorted(opaque))} does not: "
        "it cannot be traced, or uses weights of its own"
    )
    return (
        f"They are within layers of other classes, {', '.join(names[:3])}{more}, "
        f"which {calls} would open{how * bool(opaque)}"
    )


class _Expansion:
    """The function that `rewrite` asks for what takes the place of each layer."""

    def __init__(self):
        self._called: dict[int, list] = collections.defaultdict(list)
        self._names: list[tuple[keras.Layer, str]] = []
        self._nodes: list[tuple[list, int]] = []

    def note_calls(self, model):
        """Notes what composite layers of a model are called on."""

        def call(name, layer, args, kwargs):
            if type(layer) in _CALLS:
                self._called[id(layer)].append(_argument(name, layer, args, kwargs))
            return layer.compute_output_spec(*args, **kwargs)

        walk(model, symbolic_inputs(model), call)

    def __call__(self, layer):
        if type(layer) not in _CALLS:
            return None
        traced = self.trace(layer, _CALLS[type(layer)], self._called[id(layer)])
        self._rename(traced, _attributes(layer))
        self.note_calls(traced)
        return traced

    def trace(self, layer, call, calls):
        """Returns a functional model of what a layer does."""
        for inner in _inner(layer):
            for nodes in (inner._inbound_nodes, inner._outbound_nodes):
                self._nodes.append((nodes, len(nodes)))
        return trace(layer, call, calls)

    def forget(self):
        """Gives layers back their names, and takes the calls of the traces from them.

        They are the layers of the user's model, which stays as it is.
        """
        for layer, name in reversed(self._names):
            layer.name = name
        for nodes, count in reversed(self._nodes):
            del nodes[count:]

    def _rename(self, model, names):
        """Gives layers that Keras named other names, for their copies to have."""
        found = [
            operation
            for operation in keras.Function(model.inputs, model.outputs).operations
            if isinstance(operation, keras.Layer)
        ]
        taken = {layer.name for layer in found if not _is_automatic(layer)}
        for layer in found:
            if is_graph(layer):
                self._rename(layer, {})
            if not _is_automatic(layer):
                continue
            name = names.get(id(layer)) or re.sub(r"_\d+$", "", layer.name)
            numbered = (f"{name}_{number}" for number in itertools.count(1))
            while name in taken:
                name = next(numbered)
            taken.add(name)
            self._names.append((layer, layer.name))
            layer.name = name


def _is_traceable(layer) -> bool:
    """Whether the call of a layer tells how it is made of its layers."""
    expansion = _Expansion()
    try:
        calls = [
            _argument(layer.name, layer, node.arguments.args, node.arguments.kwargs)
            for node in layer._inbound_nodes
        ]
        expansion.trace(layer, _own_call, calls)
    except ValueError:
        return False
    finally:
        expansion.forget()
    return True


def _own_call(layer, inputs):
    named = "training" in inspect.signature(layer.call).parameters
    return layer.call(inputs, **({"training": None} if named else {}))


def _argument(name, layer, args, kwargs):
    """The one argument of a call, as specifications of tensors."""
    others = {key for key, value in kwargs.items() if value is not None} - {"training"}
    if len(args) != 1 or others:
        raise ValueError(
            f"Layer {name!r}, a {type(layer).__name__}, must be called on one "
            "argument, a tensor or a structure of tensors, to be opened. "
            f"Received: {len(args)} arguments, and {sorted(others)} by name"
        )
    return args[0]


def _attributes(layer) -> dict[int, str]:
    """Names of a layer's layers by `id`, from the attributes that hold them."""
    names: dict[int, str] = {}
    for key, value in vars(layer).items():
        if key.startswith("_"):
            continue
        if isinstance(value, keras.Layer):
            names.setdefault(id(value), key)
        elif isinstance(value, list | tuple | dict):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for number, item in items:
                if isinstance(item, keras.Layer):
                    names.setdefault(id(item), f"{key}_{number}".replace("/", "_"))
    return names


def _is_automatic(layer) -> bool:
    """Whether Keras named a layer, by its class and a number."""
    plain = re.sub(r"_\d+$", "", layer.name).replace("_", "")
    return plain == re.sub(r"\W|_", "", type(layer).__name__).lower()


def _is_foreign(layer_class) -> bool:
    return layer_class.__module__.partition(".")[0] not in ("keras", "keras_roots")


def _inner(layer) -> list[keras.Layer]:
    return list(layer._flatten_layers(include_self=False))
