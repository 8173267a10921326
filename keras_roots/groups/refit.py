"""Kernels with groups, and 1x1s behind them, fitted to responses without groups."""

from collections.abc import Collection

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.convolutions import LayerFit
from keras_roots.graph import symbolic_inputs

_RIDGE = 1e-4  # of the mean square of the inputs: what keeps the fit from noise


def refit(
    dense: keras.Model,
    grouped: keras.Model,
    names: Collection[str],
    images: np.ndarray,
    batch_size: int = 50,
    seed: int | None = 0,
) -> None:
    """Fits convolutions with groups to the responses of those without, in place.

    Layer by layer, by least squares on sample images, from the inputs that the network
    with groups gives it (`convolutions.reconstruct`): filters make up for the inputs
    that they do not see any more from those that they see, which are correlated with
    them; the 1x1s behind them make up for the rest, as far as other groups know it.

    Args:
        dense: The model without groups.
        grouped: The same model with groups, whose weights change.
        names: Names of its convolutions that were given groups.
        images: Sample images, as the models take them.
        batch_size: Images per run.
        seed: Seed of the choice of positions.

    Raises:
        ValueError: There are no images, they do not fit the model, or responses are not
            finite.
    """
    images = convolutions.Samples.of(grouped, images)
    dense = convolutions.runnable(dense)
    fits = group_fits(dense, grouped, names, seed)
    convolutions.reconstruct(dense, grouped, fits, images, batch_size)


def group_fits(
    dense: keras.Model,
    grouped: keras.Model,
    names: Collection[str],
    seed: int | None = 0,
) -> list[LayerFit]:
    """Returns what fits convolutions with groups, and the 1x1s behind them.

    Args:
        dense: The model without groups, for `convolutions.reconstruct`.
        grouped: The same model with groups.
        names: Names of its convolutions that were given groups.
        seed: Seed of the choice of positions.
    """
    originals = dict(graph.operations(dense))
    following = graph.Connections(grouped)
    return [
        _GroupFit(name, originals[name], layer, following.follower(layer), seed)
        for name, layer in _affected(grouped, names).items()
    ]


class _GroupFit(LayerFit):
    """Weights by least squares, on the inputs of each group."""

    def __init__(self, name, original, changed, follower, seed):
        super().__init__(name, original, changed, seed)
        is_norm = isinstance(follower, keras.layers.BatchNormalization)
        self._norm = follower if is_norm and not changed.use_bias else None
        self._moments = convolutions.Moments()

    def add(self, seen, answers):
        seen = convolutions.grouped(self.changed, seen)
        self._moments.add(seen, answers.reshape(len(seen), self.changed.groups, -1))

    def apply(self):
        layer, norm = self.changed, self._norm
        weights, shifts = self._moments.fit(_RIDGE, layer.use_bias or norm is not None)
        kernel = np.concatenate(weights, axis=-1).reshape(layer.kernel.shape)
        shift = shifts.ravel()
        layer.set_weights([kernel, shift] if layer.use_bias else [kernel])
        if norm is None:
            return [layer]
        norm.moving_mean.assign(norm.moving_mean - shift)
        return [layer, norm]


def _affected(model, names) -> dict[str, keras.layers.Conv2D]:
    """The convolutions with groups, and the 1x1s that come after one."""
    found = {}

    def step(name, operation, output, after):
        if name in names:
            found[name] = operation
            return True
        if any(after) and _is_1x1(operation):
            found[name] = operation
        return any(after)

    graph.annotate(model, symbolic_inputs(model), False, step)
    return found


def _is_1x1(layer) -> bool:
    return type(layer) is keras.layers.Conv2D and layer.kernel_size == (1, 1)
