"""Removing filters that are zero from a model."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_roots.graph import surgery
from keras_roots.graph.channels import channel_spaces


class FilterRemoval:
    """Finds which filters that count as zero can be removed, and removes them.

    A filter stays where `channel_spaces` keeps it. All groups of a layer lose as many
    filters, and every layer keeps one.

    Args:
        model: A functional model, or a Sequential one that is built; models within it
            are entered. It stays as it is.
        dead: For each convolution, by identity, the filters that count as zero; those
            that come first are the first to go.

    Raises:
        ValueError: The model has no graph.
    """

    def __init__(self, model: keras.Model, dead: Mapping[int, Sequence[int]]):
        self._model = model
        self._dead = dead
        self._spaces = channel_spaces(model)
        self._reasons: dict[int, str] = {}
        self._gone: list[int] = []
        for layer in self._spaces.layers:
            if id(layer) in dead:
                self._gone += self._choose(layer)

    def removed(self, layer: keras.layers.Conv2D) -> list[int]:
        """Returns the filters of a convolution that can be removed."""
        return np.flatnonzero(self._is_gone(self._spaces.filters(layer))).tolist()

    def reasons(self, layer: keras.layers.Conv2D) -> tuple[str, ...]:
        """Returns why other dead filters of a convolution stay."""
        numbers = self._spaces.filters(layer)
        dead = [numbers[index] for index in sorted(self._dead[id(layer)])]
        return tuple(
            dict.fromkeys(self._reasons[n] for n in dead if n in self._reasons)
        )

    def apply(self) -> keras.Model:
        """Returns a copy of the model without the filters, not compiled."""
        return surgery.rewrite(self._model, self._narrow)

    def _choose(self, layer) -> list[int]:
        """Returns the filters of a layer to remove; notes why the others stay."""
        numbers = self._spaces.filters(layer)
        each = layer.filters // layer.groups
        free: list[list[int]] = [[] for _ in range(layer.groups)]
        for index in self._dead[id(layer)]:
            reason = self._spaces.kept(numbers[index])
            if reason:
                self._reasons[numbers[index]] = reason
            else:
                free[index // each].append(numbers[index])
        count = min(each - 1, *map(len, free))
        reason = "all groups keep as many" if layer.groups > 1 else "a layer keeps one"
        for group in free:
            self._reasons.update(dict.fromkeys(group[count:], reason))
        return [number for group in free for number in group[:count]]

    def _is_gone(self, numbers) -> np.ndarray:
        return np.isin(numbers, self._gone)

    def _narrow(self, layer) -> surgery.Replacement | None:
        """Returns a layer without the channels of removed filters, if it has some."""
        gone = {
            name: {
                axis: self._is_gone(self._spaces.sources(channels))
                for axis, channels in axes.items()
            }
            for name, axes in self._spaces.weights(layer).items()
        }
        if not any(x.any() for axes in gone.values() for x in axes.values()):
            return None
        changed, weights = surgery.select(
            layer,
            {
                # Along an axis that loses none: with groups it is shorter.
                name: {
                    axis: np.flatnonzero(~lost) if lost.any() else None
                    for axis, lost in axes.items()
                }
                for name, axes in gone.items()
            },
        )
        if self._spaces.filters(layer):
            changed["filters"] = weights[0].shape[-1]
        constants = self._spaces.constants(layer)
        lost = self._is_gone(self._spaces.sources(self._spaces.inputs(layer)))
        constants = np.where(lost, constants, 0.0)
        if self._spaces.output(layer) is not None and constants.any():
            kernel = layer.get_weights()[0].astype("float64")
            folded = constants @ kernel.sum(axis=tuple(range(kernel.ndim - 2)))
            folded = folded[~gone["kernel"][-1]]
            changed["use_bias"] = True
            weights = [weights[0], sum(weights[1:], folded)]
        return surgery.Replacement([surgery.copy_of(layer, **changed)], [weights])
