"""The convolutions and Dense layers of a model, by name."""

from collections.abc import Callable, Iterable

import keras

from keras_roots import graph
from keras_roots.convolutions.description import KERNEL_LAYERS
from keras_roots.graph import Selection

# Names of layers, a function that tells whether a layer is meant, a kind of
# `selection.KINDS`, `None` for what the caller considers by default.
Layers = Iterable[str] | Callable[[keras.Layer], bool] | str | None


def convolutions(
    model: keras.Model, layers: Layers = None, hidden_dense: bool = False
) -> dict[str, keras.Layer]:
    """Returns a model's 2D convolutions by name, and Dense layers if they are meant.

    Depthwise convolutions are never among them. Layers of subclasses, which no
    technique changes, are, so that plans can name them: `graph.obstacle` says why they
    stay.

    Args:
        model: A functional or Sequential model.
        layers: Which of them: names, a function of the layer, `"pointwise"`,
            `"spatial"`; `None` for all convolutions. Dense layers can be named and are
            chosen by a function (one that asks for what they do not have, such as
            `layer.filters`, leaves them out); they are neither pointwise nor spatial.
        hidden_dense: Whether `None` means the hidden Dense layers too: those that
            another layer with a kernel follows, which the last one, the classifier, is
            not.

    Returns:
        Layers by name; that of one in a nested model follows those of the models, as in
        `profile`: `"outer/inner"`. A shared layer has the first of its names.

    Raises:
        ValueError: `model` is subclassed, has no such layer, or none that is meant.
    """
    every = kernel_layers(model)
    kind = "2D convolutions"
    if layers is None:
        hidden = _followed(model) if hidden_dense else set()
        kind += " or hidden Dense layers" * hidden_dense
        dense = [n for n, each in every.items() if not isinstance(each, _CONVOLUTION)]
        every = {
            name: layer
            for name, layer in every.items()
            if isinstance(layer, _CONVOLUTION) or id(layer) in hidden
        }
        if dense and not every:
            closed = graph.how_to_open(graph.closed_layers(model, _CONVOLUTION))
            reached = f" that can be reached. {closed}" if closed else ""
            raise ValueError(
                f"`model` has no {kind}{reached}. Name its Dense layers in `layers`, "
                f"such as layers={dense[:1]}, to have them considered. "
                f"Received: model={model.name!r} with {', '.join(dense)}"
            )
    else:
        kind += " or Dense layers"
    if callable(layers) and not isinstance(layers, keras.Layer):
        layers = _asked_of_all(layers)
    meant = set(map(id, every.values()))
    selection = Selection(layers, lambda layer: id(layer) in meant, kind)
    chosen = {name: layer for name, layer in every.items() if selection(layer, name)}
    selection.check(model)
    return chosen


def kernel_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Returns all 2D convolutions, depthwise ones aside, and all Dense layers by name.

    Args:
        model: A functional or Sequential model.
    """
    found: dict[int, tuple[str, keras.Layer]] = {}
    for name, layer in graph.operations(model):
        if isinstance(layer, KERNEL_LAYERS) and not _is_depthwise(layer):
            found.setdefault(id(layer), (name, layer))
    return dict(found.values())


_CONVOLUTION = keras.layers.Conv2D


def _is_depthwise(layer) -> bool:
    # As many groups as filters: every filter alone in its group.
    return isinstance(layer, _CONVOLUTION) and 1 < layer.groups == layer.filters


def _asked_of_all(chooses) -> Callable[[keras.Layer], bool]:
    """A function of convolutions, which may ask Dense layers for what they lack."""

    def asked(layer):
        try:
            return chooses(layer)
        except AttributeError:
            if isinstance(layer, _CONVOLUTION):
                raise
            return False

    return asked


def _followed(model) -> set[int]:
    """Identities of the Dense layers whose outputs a later layer with a kernel gets."""
    open_ends: dict[int, frozenset[int]] = {}  # Dense layers, by id of a tensor
    tensors = []  # kept, so that no two of them share an id
    followed: set[int] = set()

    def call(name, operation, args, kwargs):
        found = frozenset().union(
            *(open_ends.get(id(x), ()) for x in keras.tree.flatten((args, kwargs)))
        )
        if graph.has_kernel(operation):
            followed.update(found)
            found = frozenset()
        if isinstance(operation, keras.layers.Dense):
            found = frozenset([id(operation)])
        outputs = operation.compute_output_spec(*args, **kwargs)
        for tensor in keras.tree.flatten(outputs):
            open_ends[id(tensor)] = found
            tensors.append(tensor)
        return outputs

    graph.walk(model, graph.symbolic_inputs(model), call)
    return followed
