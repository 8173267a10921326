"""The choice of layers: names, a function of a layer, or a kind of convolutions."""

from collections.abc import Callable, Iterable

import keras

from keras_roots.graph.composite import closed_layers, how_to_open
from keras_roots.graph.walk import operations


def _size(layer) -> int:
    return max(getattr(layer, "kernel_size", ()), default=0)


# Kinds of convolutions by name.
KINDS = {
    "pointwise": lambda layer: _size(layer) == 1,
    "spatial": lambda layer: _size(layer) > 1,
}


class Selection:
    """Chooses layers of a model, and checks that the choice is one of that model.

    Args:
        layers: Names of layers, or a function of a layer that says whether it is
            chosen; `"pointwise"` for the 1x1 convolutions, `"spatial"` for the others;
            `None` for all that qualify.
        qualifies: Function of a layer: whether it is of the kind that can be chosen.
        kind: Plural of that kind, for messages: `"convolutions"`.

    Raises:
        ValueError: `layers` is none of these.
    """

    def __init__(
        self,
        layers: Iterable[str] | Callable[[keras.Layer], bool] | str | None,
        qualifies: Callable[[keras.Layer], bool],
        kind: str,
    ):
        self.names = None
        self.predicate = None
        if isinstance(layers, str) and layers in KINDS:
            self.predicate = KINDS[layers]
        elif isinstance(layers, keras.Layer):
            raise ValueError(
                "`layers` must be names of layers, such as "
                f"[{layers.name!r}]. Received: the layer itself"
            )
        elif callable(layers):
            self.predicate = layers
        elif _is_listed(layers):
            self.names = _checked(layers)
        elif layers is not None:
            raise ValueError(
                "`layers` must be a list of names, a function of a layer, "
                f"{', '.join(map(repr, KINDS))} or None. "
                f"Received: layers={layers!r}; a single layer is ['its name']"
            )
        self.qualifies = qualifies
        self.kind = kind
        self.candidates: list[str] = []
        self.chosen: list[str] = []

    def __call__(self, layer: keras.Layer, name: str | None = None) -> bool:
        """Tells whether a layer is chosen.

        Args:
            layer: The layer.
            name: Its name, if it is not the layer's own, as for one in a nested model.
        """
        name = name or layer.name
        if not self.qualifies(layer):
            return False
        self.candidates.append(name)
        if self.names is not None:
            chosen = bool({name, layer.name} & self.names)
        else:
            chosen = self.predicate is None or bool(self.predicate(layer))
        if chosen:
            self.chosen += [name, layer.name]
        return chosen

    def check(self, model: keras.Model) -> None:
        """Checks the choice, after a call for every layer of the model.

        Args:
            model: That model.

        Raises:
            ValueError: No layer qualifies, none was chosen, or a name is not found.
        """
        if not self.candidates:
            raise ValueError(f"`model` has no {self.kind}{_where(model)}")
        unknown = sorted((self.names or set()) - set(self.chosen))
        if unknown or not self.chosen:
            raise ValueError(
                f"`layers` must name {self.kind} of the model: "
                f"{', '.join(self.candidates)}. Received: "
                + (f"{', '.join(unknown)}" if unknown else "a choice of none of them")
            )


def _where(model) -> str:
    """What a model has instead of the layers that were looked for."""
    closed = closed_layers(model, keras.layers.Conv2D)
    if closed:
        return f" that can be reached. {how_to_open(closed)}"
    classes = sorted({type(layer).__name__ for _, layer in operations(model)})
    return f". Received: model={model.name!r} with {', '.join(classes)}"


def _is_listed(layers) -> bool:
    # An array of no dimension is an Iterable, and cannot be iterated over.
    several = isinstance(layers, Iterable) and getattr(layers, "ndim", 1) > 0
    return several and not isinstance(layers, str | bytes)


def _checked(layers) -> set[str]:
    names = list(layers)
    strange = [name for name in names if not isinstance(name, str)]
    if strange:
        raise ValueError(
            "`layers` must be names of layers, such as ['conv2a']. Received: "
            f"{strange[0]!r} among them"
        )
    return set(names)
