"""Group lasso: drives whole filters, channels or shapes of a kernel to zero."""

import keras
from keras import ops

from keras_roots.utils import checks

# Axes that a group extends over, for a kernel whose last axes are input channels,
# filter groups and filters of a group.
_WITHIN = {
    "filters": lambda rank: tuple(range(rank - 2)),
    "channels": lambda rank: (*range(rank - 3), rank - 1),
    "shapes": lambda rank: (rank - 1,),
}
AXES = tuple(_WITHIN)


@keras.saving.register_keras_serializable(package="keras_roots")
class GroupLasso(keras.regularizers.Regularizer):
    """Sum of the l2 norms of groups of weights, times a strength.

    Structured Sparsity Learning (Wen et al., NIPS 2016), by which Force Regularization
    (ICCV 2017), section 5.4, makes a low-rank network sparse as well. Unlike a penalty
    on single weights it makes groups vanish as a whole, and a vanished filter can be
    taken out of the network: `keras_roots.sparsity.remove_dead_filters`. The gradient
    of a group that is zero is zero.

    Args:
        strength: Factor of the sum, at least 0.
        axis: The weights of a group, for a kernel `(height, width, channels, filters)`:
            `"filters"`, `kernel[..., n]`; `"channels"`, `kernel[:, :, c, :]`, all
            that is applied to one input channel; `"shapes"`, `kernel[i, j, c, :]`, the
            same weight of all filters.
        groups: Filter groups of the convolution. Filters of different filter groups
            see different inputs, so that each has channels and shapes of its own.

    Raises:
        ValueError: An argument is impossible, or the filters cannot be divided into
            `groups`.

    Example:
        >>> float(GroupLasso(0.5)(keras.ops.ones((2, 2, 1, 3))))
        3.0
    """

    def __init__(self, strength, axis="filters", groups=1):
        self.strength = checks.number("strength", strength, least=0)
        self.axis = checks.choice("axis", axis, AXES)
        self.groups = checks.integer("groups", groups)

    def __call__(self, x):
        """Returns the strength times the sum of the groups' norms."""
        *window, filters = x.shape
        if filters % self.groups:
            raise ValueError(
                f"`groups` must divide the {filters} filters of the kernel. "
                f"Received: groups={self.groups}"
            )
        kernel = ops.reshape(
            ops.cast(x, "float32"), (*window, self.groups, filters // self.groups)
        )
        within = _WITHIN[self.axis](len(kernel.shape))
        squares = ops.sum(ops.square(kernel), axis=within)
        # The root's gradient at zero is infinite, and that times zero is not a number.
        alive = squares > 0
        norms = ops.where(alive, ops.sqrt(ops.where(alive, squares, 1.0)), 0.0)
        return self.strength * ops.sum(norms)

    def get_config(self):
        """Returns the arguments."""
        return {"strength": self.strength, "axis": self.axis, "groups": self.groups}
