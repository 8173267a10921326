"""Reordering the channels of a model, which costs nothing when it runs."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_roots.graph import surgery, walk
from keras_roots.graph.spaces import Spaces


def permute_channels(
    model: keras.Model, spaces: Spaces, permutations: Mapping[int, np.ndarray]
) -> keras.Model:
    """Returns a copy of a model with channels in another order.

    All weights along the channels are reordered, and pruned zeros with them, so that
    the copy computes what the model does, to the rounding of sums in another order. So
    the permutations that bring together what belongs in one filter group (Deep Roots,
    section 3) are absorbed by the layers around it.

    Args:
        model: A functional or Sequential model. It stays as it is.
        spaces: Its `channel_spaces`.
        permutations: For spaces that are not pinned, the order: the new channel `i` is
            the old channel `permutations[space][i]`.

    Returns:
        A functional model of the same name, not compiled.

    Raises:
        ValueError: The spaces are those of another model, one is unknown or pinned, or
            an array is no permutation of its channels.

    Example:
        >>> free = [space for space in spaces if not spaces.pinned(space)]
        >>> reverse = {space: np.arange(spaces.size(space))[::-1] for space in free}
        >>> same = permute_channels(model, spaces, reverse)
    """
    present = {id(operation) for _, operation in walk.operations(model)}
    lost = [layer.name for layer in spaces.layers if id(layer) not in present]
    if lost:
        raise ValueError(
            "`spaces` must be the channel_spaces of `model` itself, not of a copy. "
            f"Received: model={model.name!r}, which has not their layer {lost[0]!r}"
        )
    for space, permutation in permutations.items():
        _check(spaces, space, permutation)

    def order(channels):
        """Returns the order along an axis, `None` if it stays as it is."""
        if permutations.keys().isdisjoint(channels):
            return None
        sizes = [spaces.size(space) for space in channels]
        starts = np.cumsum([0, *sizes[:-1]])
        parts = [
            start + np.asarray(permutations.get(space, np.arange(size)))
            for space, start, size in zip(channels, starts, sizes, strict=True)
        ]
        return np.concatenate(parts)

    def replace(layer):
        orders = {
            name: {axis: order(channels) for axis, channels in axes.items()}
            for name, axes in spaces.weights(layer).items()
        }
        if all(x is None for axes in orders.values() for x in axes.values()):
            return None
        changed, weights = surgery.select(layer, orders)
        return surgery.Replacement([surgery.copy_of(layer, **changed)], [weights])

    return surgery.rewrite(model, replace)


def _check(spaces, space, permutation):
    if space not in set(spaces):
        raise ValueError(
            "`permutations` must be for spaces of the model, as `inputs` and `output` "
            f"of `spaces` return them. Received: a permutation of {space!r}"
        )
    if spaces.pinned(space):
        raise ValueError(
            "`permutations` must be for spaces that are not pinned. Received: a "
            f"permutation of {space}, which is pinned: {spaces.pinned(space)}"
        )
    size = spaces.size(space)
    indices = np.asarray(permutation)
    if not (
        np.issubdtype(indices.dtype, np.integer)
        and np.array_equal(np.sort(indices, axis=None), np.arange(size))
        and indices.ndim == 1
    ):
        raise ValueError(
            f"`permutations` of space {space} must hold every integer from 0 to "
            f"{size - 1} once. Received: {permutation!r}"
        )
