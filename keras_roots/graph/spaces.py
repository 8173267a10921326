"""The channel axes of a model, which share an order, and the filters behind them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np


class _Tracked(NamedTuple):
    """A layer with weights for each channel, and the spaces at its first call."""

    layer: keras.Layer
    inputs: tuple[int, ...]
    constants: np.ndarray
    weights: Mapping[str, Mapping[int, tuple[int, ...]]]
    output: int | None

    @property
    def touched(self) -> tuple[int, ...]:
        return self.inputs if self.output is None else (*self.inputs, self.output)


class Spaces:
    """The channel axes of a model, in sets that must have the same order of channels.

    Such a set is a space, known by a number. Iterating goes through the spaces; the
    order is free where `pinned` is empty. An axis of a tensor or weight is made up of
    one space, or of several one after the other: where branches are concatenated, or
    where `Flatten` puts the channels of one position behind those of the other.

    Every filter of a convolution has a number too. A filter whose kernel is zero gives
    a constant channel, which later layers turn into other constants. It can be removed
    from the model where `kept` is empty.

    Made by `channel_spaces`.
    """

    def __init__(self):
        self._parents: list[int] = []
        self._sources: list[np.ndarray] = []
        self._reasons: list[str] = []
        self._kept: list[str] = []
        self._tracked: dict[int, _Tracked] = {}

    def __iter__(self) -> Iterator[int]:
        return (n for n, parent in enumerate(self._parents) if n == parent)

    @property
    def layers(self) -> tuple[keras.Layer, ...]:
        """Layers with weights for each channel, in the order of their first calls."""
        return tuple(tracked.layer for tracked in self._tracked.values())

    def inputs(self, layer: keras.Layer) -> tuple[int, ...]:
        """Returns the spaces that make up the input channels of a layer, in order.

        Args:
            layer: A layer of the model. Empty if it is none of `layers`.
        """
        tracked = self._tracked.get(id(layer))
        return self._roots(tracked.inputs) if tracked else ()

    def output(self, layer: keras.Layer) -> int | None:
        """Returns the space of the filters of a convolution, or units of a dense layer.

        Args:
            layer: A layer of the model. `None` if it is no such layer: its output has
                the channels of its input, or is not followed.
        """
        tracked = self._tracked.get(id(layer))
        if tracked is None or tracked.output is None:
            return None
        return self._root(tracked.output)

    def weights(self, layer: keras.Layer) -> dict[str, dict[int, tuple[int, ...]]]:
        """Returns the spaces that make up the axes of a layer's weights.

        Args:
            layer: A layer of the model. Empty if it is none of `layers`.

        Returns:
            For each weight by name, for its axes (negative, from the last), the spaces.
        """
        tracked = self._tracked.get(id(layer))
        return {
            name: {axis: self._roots(spaces) for axis, spaces in axes.items()}
            for name, axes in (tracked.weights if tracked else {}).items()
        }

    def constants(self, layer: keras.Layer) -> np.ndarray:
        """Returns the values of input channels whose filters are zero, in order.

        Args:
            layer: One of `layers`. Only channels of filters that are not `kept` have
                a meaning.
        """
        return self._tracked[id(layer)].constants

    def filters(self, layer: keras.Layer) -> tuple[int, ...]:
        """Returns the numbers of a convolution's filters; empty for other layers.

        Args:
            layer: A layer of the model.
        """
        tracked = self._tracked.get(id(layer))
        if tracked is None or tracked.output is None:
            return ()
        numbers = self._sources[tracked.output]
        return tuple(numbers[numbers >= 0].tolist())

    def sources(self, spaces: Iterable[int]) -> np.ndarray:
        """Returns for each channel of spaces the filter that it comes from, else -1."""
        parts = [self._sources[space] for space in spaces]
        return np.concatenate(parts) if parts else np.zeros(0, "int64")

    def size(self, space: int) -> int:
        """Returns the number of channels of a space."""
        return len(self._sources[space])

    def pinned(self, space: int) -> str:
        """Returns why the order of a space cannot change; empty if it can."""
        return self._reasons[self._root(space)]

    def kept(self, number: int) -> str:
        """Returns why a filter cannot be removed; empty if it can, once it is zero."""
        return self._kept[number]

    def pin(self, spaces: Iterable[int], reason: str) -> None:
        """Fixes the order of spaces. The first reason is the one that is kept."""
        for root in self._roots(spaces):
            self._reasons[root] = self._reasons[root] or reason

    def keep(
        self,
        spaces: Iterable[int],
        reason: str,
        where: np.ndarray | slice = slice(None),
    ) -> None:
        """Keeps filters in the model. The first reason is the one that is kept.

        Args:
            spaces: Those of the filters' channels.
            reason: Why they cannot be removed.
            where: Which of these channels.
        """
        numbers = self.sources(spaces)[where]
        for number in np.unique(numbers[numbers >= 0]):
            self._kept[number] = self._kept[number] or reason

    def fix(self, spaces: Iterable[int], reason: str) -> None:
        """Fixes the order of spaces, and keeps the filters that they come from."""
        spaces = tuple(spaces)
        self.pin(spaces, reason)
        self.keep(spaces, reason)

    def add(self, size: int, reason: str = "") -> int:
        """Adds a space, pinned if there is a reason, and returns it."""
        return self._add(np.full(size, -1), reason)

    def add_filters(self, size: int) -> int:
        """Adds the space of new filters, which get numbers, and returns it."""
        first = len(self._kept)
        self._kept += [""] * size
        return self._add(np.arange(first, first + size))

    def add_copies(
        self, spaces: tuple[int, ...], channels: np.ndarray, reason: str
    ) -> int:
        """Adds a space whose channels come from those of others, and pins them all.

        Args:
            spaces: The others.
            channels: For each channel of the new space, the one that it comes from.
            reason: Why none of them can change its order.
        """
        self.pin(spaces, reason)
        return self._add(self.sources(spaces)[channels], reason)

    def merge(self, axes: Sequence[tuple[int, ...]], name: str) -> tuple[int, ...]:
        """Gives axes of the same size one order; their filters are kept.

        Args:
            axes: The spaces that make up each. They are pinned if they are of different
                sizes, as no order of one is then that of another.
            name: Name of the operation that needs it.

        Returns:
            The spaces of the first.
        """
        for axis in axes:
            self.keep(axis, f"{name} needs it")
        if len({tuple(map(self.size, axis)) for axis in axes}) > 1:
            for axis in axes:
                self.pin(axis, f"{name} joins channels that are made up differently")
            return axes[0]
        for first, *others in zip(*axes, strict=True):
            for other in others:
                one, two = self._roots((first, other))
                self._reasons[one] = self._reasons[one] or self._reasons[two]
                self._parents[two] = one
        return axes[0]

    def track(
        self,
        layer: keras.Layer,
        inputs: tuple[int, ...],
        constants: np.ndarray,
        weights: Mapping[str, Mapping[int, tuple[int, ...]]],
        output: int | None = None,
    ) -> None:
        """Notes a call of a layer: what the methods of these names return."""
        call = _Tracked(layer, inputs, constants, weights, output)
        unknown = {weight.name for weight in layer.weights} - set(weights)
        if unknown:
            names = ", ".join(sorted(unknown))
            self.fix(call.touched, f"{layer.name} has other weights: {names}")
        if id(layer) in self._tracked:
            touched = (*call.touched, *self._tracked[id(layer)].touched)
            self.fix(touched, f"{layer.name} is called more than once")
        else:
            self._tracked[id(layer)] = call

    def _add(self, sources, reason="") -> int:
        self._parents.append(len(self._parents))
        self._sources.append(sources)
        self._reasons.append(reason)
        return self._parents[-1]

    def _root(self, space) -> int:
        while self._parents[space] != space:
            space = self._parents[space]
        return space

    def _roots(self, spaces) -> tuple[int, ...]:
        return tuple(map(self._root, spaces))
