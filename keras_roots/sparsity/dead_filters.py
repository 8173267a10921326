"""Dead filters of a network: which they are, and the network without them."""

import dataclasses

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import read_kernels
from keras_roots.utils import checks, format_table


@dataclasses.dataclass(frozen=True)
class LayerFilters:
    """Dead filters of one convolution.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        filters: N, all of its filters.
        dead: Those whose norm is at most the threshold times the largest one's.
        removable: Those of them that can be removed from the network.
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
        """Number of filters that can be removed."""
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
    """Removes filters from a model that are zero, or nearly.

    So structured sparsity (`GroupLasso`; Force Regularization, Wen et al., ICCV 2017,
    section 5.4) gives a smaller network of plain layers. A filter is removed with its
    bias, its channel in the layers that follow (BatchNormalization, depthwise
    convolutions), and its input channel in the convolutions and dense layers behind
    them. The constant that its bias becomes there is added to their biases.

    A dead filter stays where that would not be exact: its channel reaches a sum of
    branches, a convolution with groups, an output of the model, or an operation that is
    not known; or it is not zero there and meets zero padding. A convolution with groups
    loses as many filters in every group. `dead_filters` lists the filters and reasons.

    Args:
        model: A functional or Sequential model, models within it included. It stays as
            it is.
        threshold: A filter is dead if its norm is at most `threshold` times the largest
            of its layer; from 0 and below 1.

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
    model = graph.expand_composites(model)
    return graph.FilterRemoval(model, _dead(model, threshold)).apply()


def dead_filters(model: keras.Model, threshold: float = 1e-3) -> DeadFilters:
    """Finds the dead filters of a model, and those that can be removed.

    Args:
        model: As for `remove_dead_filters`.
        threshold: As for `remove_dead_filters`.

    Returns:
        A `DeadFilters`: `.dead`, `.removable`, `.layers`, and a table when printed.

    Raises:
        ValueError: As for `remove_dead_filters`.
    """
    checks.part("threshold", threshold, zero=True)
    model = graph.expand_composites(model)
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
        if not graph.is_a(layer, keras.layers.Conv2D):
            continue
        kernel = read_kernels(name, layer)
        norms = np.sqrt((kernel**2).sum(axis=(0, 1, 2)))
        order = np.argsort(norms, kind="stable")
        dead[id(layer)] = [
            int(index) for index in order if norms[index] <= threshold * norms.max()
        ]
    return dead
