"""What is known of a tensor's channels, and the registry of rules that tell it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np


@dataclasses.dataclass
class Signal:
    """What is known of a tensor.

    Attributes:
        spec: Its shape and dtype.
        scope: Names of the models that it is made in.
        axis: Axis of its channels, negative; `None` if it has none.
        channels: The spaces that make it up.
        constants: For each channel, its value at every position if the filter that it
            comes from is zero; zeros if they are not known.
    """

    spec: keras.KerasTensor
    scope: str
    axis: int | None = None
    channels: tuple[int, ...] = ()
    constants: np.ndarray | None = None

    def __post_init__(self):
        if self.axis is not None and self.constants is None:
            self.constants = np.zeros(self.spec.shape[self.axis])


class Known(NamedTuple):
    """The channels of an output.

    Attributes:
        axis: Their axis.
        channels: The spaces that make them up.
        constants: As for `Signal`; `None` if the filters that they come from are kept.
    """

    axis: int
    channels: tuple[int, ...]
    constants: np.ndarray | None = None


class _Rule(NamedTuple):
    follow: Callable[..., Known | None]
    joins: bool


# By class of a layer, or name of an operation, whose classes have no public names.
_RULES: dict[type | str, _Rule] = {}


def rule(*kinds, joins=False):
    """Registers a rule, a function of spaces, layer, input and output's specification.

    Args:
        *kinds: Classes of layers, or names of operations.
        joins: Whether the rule takes several inputs, signals or constants, as a list.
    """

    def register(function):
        _RULES.update(dict.fromkeys(kinds, _Rule(function, joins)))
        return function

    return register


def follow(
    spaces, operation: keras.Operation, signals: Sequence[Signal], operands, output
) -> Known | None:
    """Follows the channels through an operation.

    Args:
        spaces: The `Spaces` so far, which take up what the operation asks for.
        operation: A layer or an operation of `keras.ops`.
        signals: The tensors that it is called on.
        operands: All that it is called on, with constants.
        output: Specification of its output.

    Returns:
        The channels of the output; `None` where they are not known.
    """
    kind = type(operation)
    if not isinstance(operation, keras.Layer) and kind.__module__.startswith("keras."):
        kind = kind.__name__
    found = _RULES.get(kind)
    if found and found.joins:
        return found.follow(spaces, operation, operands, output)
    if found and len(signals) == 1:
        return found.follow(spaces, operation, signals[0], output)
    return None


def is_signal(value) -> bool:
    """Tells a tensor, of which something is known, from a constant."""
    return isinstance(value, Signal)


def read(spaces, signal, axis, name) -> tuple[tuple[int, ...], np.ndarray]:
    """Returns the spaces and constants of the channels along an axis.

    Args:
        spaces: The `Spaces` so far.
        signal: The tensor. If its channels are along another axis, they are fixed.
        axis: The axis, negative.
        name: Name of the layer that reads it.
    """
    if signal.axis == axis:
        return signal.channels, signal.constants
    reason = f"{name} has its channels on another axis"
    spaces.fix(signal.channels, reason)
    size = signal.spec.shape[axis]
    return (spaces.add(size, reason),), np.zeros(size)
