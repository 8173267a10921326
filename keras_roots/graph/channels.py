"""Which channels of a model share an order, and where that order is free."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import keras

from keras_roots.graph import channel_rules, walk
from keras_roots.graph.walk import symbolic_inputs


class _Tracked(NamedTuple):
    """A layer with weights for each channel, by the numbers of when it was called."""

    layer: keras.Layer
    inputs: tuple[int, ...]
    output: int | None
    weights: Mapping[str, Mapping[int, tuple[int, ...]]]

    @property
    def touched(self) -> tuple[int, ...]:
        return self.inputs if self.output is None else (*self.inputs, self.output)


class Spaces:
    """The channel axes of a model, in sets that must have the same order of channels.

    Such a set is a space, known by a number. Iterating goes through the spaces; the
    order is free where `pinned` is empty. An axis of a tensor or weight is made up of
    one space, or of several one after the other: where branches are concatenated, or
    where `Flatten` puts the channels of one position behind those of the other.

    Made by `channel_spaces`.
    """

    def __init__(self):
        self._parents: list[int] = []
        self._sizes: list[int] = []
        self._reasons: list[str] = []
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

    def size(self, space: int) -> int:
        """Returns the number of channels of a space."""
        return self._sizes[self._root(space)]

    def pinned(self, space: int) -> str:
        """Returns why the order of a space cannot change; empty if it can."""
        return self._reasons[self._root(space)]

    def pin(self, spaces: Iterable[int], reason: str) -> None:
        """Fixes the order of spaces. The first reason is the one that is kept."""
        for root in self._roots(spaces):
            self._reasons[root] = self._reasons[root] or reason

    def add(self, size: int, reason: str = "") -> int:
        """Adds a space, pinned if there is a reason, and returns it."""
        self._parents.append(len(self._parents))
        self._sizes.append(size)
        self._reasons.append(reason)
        return self._parents[-1]

    def merge(self, axes: Sequence[tuple[int, ...]], name: str) -> tuple[int, ...]:
        """Gives axes of the same size one order.

        Args:
            axes: The spaces that make up each. They are pinned if they are of different
                sizes, as no order of one is then that of another.
            name: Name of the operation that needs it.

        Returns:
            The spaces of the first.
        """
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
        weights: Mapping[str, Mapping[int, tuple[int, ...]]],
        output: int | None = None,
    ) -> None:
        """Notes a call of a layer: what `inputs`, `weights` and `output` return."""
        call = _Tracked(layer, inputs, output, weights)
        unknown = {weight.name for weight in layer.weights} - set(weights)
        if unknown:
            names = ", ".join(sorted(unknown))
            self.pin(call.touched, f"{layer.name} has other weights: {names}")
        if id(layer) in self._tracked:
            touched = (*call.touched, *self._tracked[id(layer)].touched)
            self.pin(touched, f"{layer.name} is called more than once")
        else:
            self._tracked[id(layer)] = call

    def _root(self, space) -> int:
        while self._parents[space] != space:
            space = self._parents[space]
        return space

    def _roots(self, spaces) -> tuple[int, ...]:
        return tuple(map(self._root, spaces))


def channel_spaces(model: keras.Model, input_shape: Sequence | None = None) -> Spaces:
    """Follows the channels of every tensor through a model.

    Every convolution without groups and every dense layer starts a space; what works
    on every channel by itself passes it on, sums and products merge those of their
    inputs, and concatenation puts them one after the other. What is not known to treat
    all channels alike pins the spaces that it touches. So do inputs and outputs of the
    model, filter groups, and layers with weights that are called more than once.

    Args:
        model: A functional model, or a Sequential one that is built; models within it
            are entered. It stays as it is.
        input_shape: Shape of one input, without the batch, where the model's own has
            unknown sides, as for `profile`.

    Returns:
        A `Spaces`, which knows the model's layers by their identity.

    Raises:
        ValueError: The model has no graph, or `input_shape` is not one of its shapes.

    Example:
        >>> spaces = channel_spaces(keras_roots.RootNiN(root=1))
        >>> [spaces.size(space) for space in spaces if not spaces.pinned(space)]
        [192, 160, 96, 192, 192, 192, 192, 192]
    """
    walk.check_built(model)
    spaces = Spaces()

    def call(name, operation, args, kwargs):
        signals, output = walk.infer(operation, args, kwargs, channel_rules.Signal)
        operands = list(_operands(args, kwargs))
        known = channel_rules.follow(spaces, operation, signals, operands, output)
        if known:
            return channel_rules.Signal(output, *known)
        reason = f"{name} ({type(operation).__name__}) may need its order"
        for signal in signals:
            spaces.pin(signal.channels, reason)
        return keras.tree.map_structure(lambda x: _fixed(spaces, x, reason), output)

    inputs = [
        _fixed(spaces, spec, "it is an input of the model")
        for spec in symbolic_inputs(model, input_shape)
    ]
    for signal in walk.walk(model, inputs, call):
        spaces.pin(signal.channels, "it is an output of the model")
    return spaces


def _is_signal(value) -> bool:
    return isinstance(value, channel_rules.Signal)


def _operands(args, kwargs) -> Iterator:
    """Yields what an operation is called on; a list of constants is one of them."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, list | tuple) and any(map(_is_signal, value)):
            yield from value
        else:
            yield value


def _fixed(spaces, spec, reason) -> channel_rules.Signal:
    """Returns a tensor whose last axis, its channels as far as is known, is pinned."""
    if len(spec.shape) < 2 or spec.shape[-1] is None:
        return channel_rules.Signal(spec)
    return channel_rules.Signal(spec, -1, (spaces.add(spec.shape[-1], reason),))
