"""The state of an optimiser, carried over to a model with smaller kernels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np


class Change(NamedTuple):
    """How a kernel changes, and what belongs to it.

    Attributes:
        apply: Function of an array shaped as the kernel was, and of matrices per group.
        weights: The matrices for the kernel, and for averages of it.
        gradients: Those for gradients of it.
        filters: Number of filters, if that changes.
    """

    apply: Callable[[np.ndarray, np.ndarray], np.ndarray]
    weights: np.ndarray
    gradients: np.ndarray
    filters: int | None = None


# Keras's names for what optimisers keep of each weight: which matrices carry it over,
# and to which power, that is 2 for means of squares.
_SLOTS = {
    "momentums": ("gradients", 1),
    "_momentums": ("gradients", 1),
    "_m": ("gradients", 1),
    "_average_gradients": ("gradients", 1),
    "_accumulated_gradients": ("gradients", 1),
    "_velocities": ("gradients", 2),
    "_velocity_hats": ("gradients", 2),
    "adam_velocities": ("gradients", 2),
    "_accumulators": ("gradients", 2),
    "_accumulated_grads": ("gradients", 2),
    "_accumulated_delta_vars": ("weights", 2),
    "_model_variables_moving_average": ("weights", 1),
}
_NO_SLOTS = ("_variables", "_trainable_variables")


def carry_over(
    old: keras.optimizers.Optimizer,
    new: keras.optimizers.Optimizer,
    variables: Sequence[tuple[keras.Variable, keras.Variable]],
    changes: Mapping[int, Change],
) -> None:
    """Gives an optimiser the state of another one of the same class.

    What it keeps for a weight that changes is changed too; if it is of a kind that is
    not known here, it becomes its mean.

    Args:
        old: An optimiser that is built.
        new: One of the same settings, built for the new model's variables.
        variables: Trainable variables of the old model with those of the new one.
        changes: By `id` of an old variable, how it changes.
    """
    old_slots, new_slots = _slots(old), _slots(new)
    for before, after in variables:
        targets = dict(new_slots.get(id(after), []))
        for name, slot in old_slots.get(id(before), []):
            values = keras.ops.convert_to_numpy(slot)
            if id(before) in changes:
                shape = targets[name].shape
                values = _changed(name, values, changes[id(before)], shape)
            targets[name].assign(values)
    others = zip(_others(old, old_slots), _others(new, new_slots), strict=True)
    for before, after in others:
        after.assign(before)


def _changed(name, values, change, shape) -> np.ndarray:
    if name not in _SLOTS:
        return np.full(shape, values.mean(), values.dtype)
    which, power = _SLOTS[name]
    matrices = getattr(change, which) ** power
    return change.apply(values.astype("float64"), matrices)


def _slots(optimizer) -> dict[int, list[tuple[str, keras.Variable]]]:
    """Returns what an optimiser keeps, by `id` of the weight that it is kept for.

    Every optimiser of Keras has lists of it in the order of the weights.
    """
    slots: dict[int, list[tuple[str, keras.Variable]]] = {}
    for part in _parts(optimizer):
        weights = part._trainable_variables
        for name, values in vars(part).items():
            if name in _NO_SLOTS or not isinstance(values, list | tuple):
                continue
            if len(values) != len(weights):
                continue
            for weight, slot in zip(weights, values, strict=True):
                if isinstance(slot, keras.Variable):
                    slots.setdefault(id(weight), []).append((name, slot))
    return slots


def _parts(optimizer) -> Iterator[keras.optimizers.Optimizer]:
    yield optimizer
    inner = getattr(optimizer, "inner_optimizer", None)  # under loss scaling
    if inner is not None:
        yield from _parts(inner)


def _others(optimizer, slots) -> list[keras.Variable]:
    """Returns what an optimiser keeps for no weight: steps taken, learning rate."""
    kept = {id(slot) for every in slots.values() for _, slot in every}
    return [variable for variable in optimizer.variables if id(variable) not in kept]
