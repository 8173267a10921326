"""Taking filters that are zero out of a network."""

import dataclasses

import keras
import numpy as np

from keras_roots import graph
from keras_roots.utils import checks, format_table


@dataclasses.dataclass(frozen=True)
class LayerFilters:
    """Dead filters of one convolution.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        filters: N, all of its filters.
        dead: Those whose norm is at most the threshold times the largest one's.
        removable: Those of them that can be taken out of the network.
        reasons: Why the others cannot.
    """

    name: str
    filters: int
    dead: tuple[int, ...]
    removable: tuple[int, ...]
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class DeadFilters:
    """Dead filters of a model; prints as a table.

    Attributes:
        layers: One entry per convolution.
        threshold: Norm of a dead filter over the largest of its layer, at most.
    """

    layers: tuple[LayerFilters, ...]
    threshold: float

    @property
    def dead(self) -> int:
        """Number of dead filters."""
        return sum(len(layer.dead) for layer in self.layers)

    @property
    def removable(self) -> int:
        """Number of filters that can be taken out."""
        return sum(len(layer.removable) for layer in self.layers)

    def __str__(self) -> str:
        def counts(layers):
            parts = ("dead", "removable")
            return (
                str(sum(layer.filters for layer in layers)),
                *(str(sum(len(getattr(layer, p)) for layer in layers)) for p in parts),
            )

        return format_table(
            ("layer", "why some stay", "filters", "dead", "removable"),
            [
                (layer.name, "; ".join(layer.reasons), *counts([layer]))
                for layer in self.layers
            ],
            ("total", "", *counts(self.layers)),
            left=2,
        )


def remove_dead_filters(model: keras.Model, threshold: float = 1e-3) -> keras.Model:
    """Takes filters that are as good as zero out of a model.

    What structured sparsity (`GroupLasso`; Force Regularization, Wen et al., ICCV 2017,
    section 5.4) is for: a smaller network of plain layers. With a filter go its bias,
    its channel of what follows (BatchNormalization, depthwise convolutions) and its
    input channel of the convolutions and dense layers at the end; the constant that its
    bias makes of it is added to their biases.

    A dead filter stays where that cannot be exact: its channel reaches a sum of
    branches, a convolution with groups, an output of the model, or an operation that is
    not known; or it is not zero there and meets zero padding. Of a convolution with
    groups, as many filters go from every group. `dead_filters` tells which, and why.

    Args:
        model: A functional or Sequential model, models within it included. It stays as
            it is.
        threshold: A filter is dead if its norm is at most that times the largest in its
            layer; at least 0 and below 1.

    Returns:
        A copy of the model, not compiled, that computes what `model` does with the
        removed filters set to zero. Every layer keeps a filter.

    Raises:
        ValueError: `threshold` is out of bounds, weights are not finite, or the model
            is subclassed.

    Example:
        >>> print(dead_filters(model))
        >>> smaller = remove_dead_filters(model)
    """
    checks.part("threshold", threshold, zero=True)
    return graph.FilterRemoval(model, _dead(model, threshold)).apply()


def dead_filters(model: keras.Model, threshold: float = 1e-3) -> DeadFilters:
    """Tells which filters of a model `remove_dead_filters` would take out.

    Args:
        model: As for `remove_dead_filters`.
        threshold: As for `remove_dead_filters`.

    Returns:
        A `DeadFilters`: `.dead`, `.removable`, `.layers`, and a table when printed.

    Raises:
        ValueError: As for `remove_dead_filters`.
    """
    checks.part("threshold", threshold, zero=True)
    dead = _dead(model, threshold)
    removal = graph.FilterRemoval(model, dead)
    return DeadFilters(
        tuple(
            LayerFilters(
                name,
                layer.filters,
                tuple(sorted(dead[id(layer)])),
                tuple(removal.removed(layer)),
                removal.reasons(layer),
            )
            for name, layer in graph.operations(model)
            if id(layer) in dead
        ),
        float(threshold),
    )


def _dead(model, threshold) -> dict[int, list[int]]:
    """Returns the dead filters of every convolution, the shortest first."""
    dead = {}
    for name, layer in graph.operations(model):
        if type(layer) not in graph.CONVOLUTIONS:
            continue
        kernel = layer.get_weights()[0].astype("float64")
        if not np.isfinite(kernel).all():
            raise ValueError(
                f"`model` must have finite weights. Received: weights of layer "
                f"{name!r} that are NaN or infinite"
            )
        norms = np.sqrt((kernel**2).sum(axis=(0, 1, 2)))
        order = np.argsort(norms, kind="stable")
        dead[id(layer)] = [
            int(index) for index in order if norms[index] <= threshold * norms.max()
        ]
    return dead
