"""Kernels with groups, and 1x1s behind them, fitted to responses without groups."""

from collections.abc import Collection, Sequence

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
    fits = group_fits(dense, grouped, names, images.shapes, seed)
    convolutions.reconstruct(dense, grouped, fits, images, batch_size)


def group_fits(
    dense: keras.Model,
    grouped: keras.Model,
    names: Collection[str],
    input_shape: Sequence | None = None,
    seed: int | None = 0,
) -> list[LayerFit]:
    """Returns what fits convolutions with groups, and the 1x1s behind them.

    Args:
        dense: The model without groups, for `convolutions.reconstruct`.
        grouped: The same model with groups.
        names: Names of its convolutions that were given groups.
        input_shape: Shape of one sample, where the model's own has unknown sides.
        seed: Seed of the choice of positions.
    """
    originals = dict(graph.operations(dense))
    following = graph.Connections(grouped)
    return [
        _GroupFit(name, originals[name], layer, following.follower(layer), seed)
        for name, layer in _affected(grouped, names, input_shape)
    ]


class _GroupFit(LayerFit):
    """Weights by least squares, on the inputs of each group."""

    def __init__(self, name, original, changed, follower, seed):
        super().__init__(name, original, changed, seed)
        absorbs = not changed.use_bias and _shifts(follower, changed)
        self._norm = follower if absorbs else None
        self._moments = convolutions.Moments()

    def add(self, seen, answers):
        seen = convolutions.grouped(self.changed, seen)
        self._moments.add(seen, answers.reshape(len(seen), self.changed.groups, -1))

    def apply(self):
        layer, norm = self.changed, self._norm
        weights, shifts = self._moments.fit(_RIDGE, layer.use_bias or norm is not None)
        kernel = np.concatenate(weights, axis=-1).reshape(layer.kernel.shape)
        shift = shifts.ravel()
        # Those of an activation that is a layer come last.
        others = layer.get_weights()[1 + layer.use_bias :]
        layer.set_weights([kernel, *[shift] * layer.use_bias, *others])
        if norm is None:
            return [layer]
        norm.moving_mean.assign(norm.moving_mean - shift)
        return [layer, norm]


def _affected(model, names, input_shape) -> list[tuple[str, keras.layers.Conv2D]]:
    """The convolutions with groups, and the 1x1s that come after one."""
    found: dict[int, tuple[str, keras.layers.Conv2D]] = {}

    def step(name, operation, output, after):
        if name in names or (any(after) and _is_1x1(operation)):
            found.setdefault(id(operation), (name, operation))
        return name in names or any(after)

    graph.annotate(model, symbolic_inputs(model, input_shape), False, step)
    return list(found.values())


def _is_1x1(layer) -> bool:
    return (
        graph.is_a(layer, keras.layers.Conv2D)
        and layer.kernel_size == (1, 1)
        and not layer.lora_enabled
    )


def _shifts(norm, layer) -> bool:
    """Tells whether a layer's follower is a BatchNormalization of its responses."""
    return (
        graph.is_a(norm, keras.layers.BatchNormalization)
        and layer.activation is keras.activations.linear
        and norm.axis % 4 == (3 if layer.data_format == "channels_last" else 1)
    )
