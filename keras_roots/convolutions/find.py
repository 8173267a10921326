"""The convolutions of a model, by name."""

from collections.abc import Callable, Iterable

import keras

from keras_roots import graph
from keras_roots.graph import Selection

# Names of layers, a function that tells whether a layer is meant, a kind of
# `selection.KINDS`, `None` for all.
Layers = Iterable[str] | Callable[[keras.Layer], bool] | str | None


def convolutions(
    model: keras.Model, layers: Layers = None
) -> dict[str, keras.layers.Conv2D]:
    """Returns a model's 2D convolutions by name, depthwise ones aside.

    Layers of subclasses, which no technique changes, are among them, so that plans can
    name them: `graph.obstacle` says why they stay.

    Args:
        model: A functional or Sequential model.
        layers: Which of them: names, a function of the layer, `"pointwise"`,
            `"spatial"`; `None` for all.

    Returns:
        Layers by name; that of one in a nested model follows those of the models, as in
        `profile`: `"outer/inner"`. A shared layer has the first of its names.

    Raises:
        ValueError: `model` is subclassed, has no convolution, or none that is meant.
    """
    selection = Selection(layers, _is_meant, "2D convolutions")
    found: dict[int, tuple[str, keras.layers.Conv2D]] = {}
    for name, layer in graph.operations(model):
        if id(layer) not in found and selection(layer, name):
            found[id(layer)] = name, layer
    selection.check(model)
    return dict(found.values())


def _is_meant(layer) -> bool:
    # As many groups as filters: depthwise, every filter alone in its group.
    return isinstance(layer, keras.layers.Conv2D) and not (
        1 < layer.groups == layer.filters
    )
