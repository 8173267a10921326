"""Force Regularization: filters that attract or repel each other."""

import keras
from keras import ops

from keras_roots.utils import checks

NORMS = ("l2", "l1")
SCALES = ("norm", "inverse_norm")

# Filters that are no longer than this take no part, nor do l1 forces between directions
# that are no farther apart.
NEGLIGIBLE = 1e-4


@keras.saving.register_keras_serializable(package="keras_roots")
class ForceRegularizer(keras.regularizers.Regularizer):
    """Coordinates the filters of a convolution, so that its rank falls in training.

    Force Regularization (Wen et al., Coordinating Filters, ICCV 2017). Each filter
    `W_i`, of direction `w_i`, is turned towards the others:

        dW_i = ||W_i|| * sum_j (f_ji - (f_ji . w_i) w_i)              (equation 2)
        f_ji = w_j - w_i                        the l2-norm force     (equation 4)
        f_ji = (w_j - w_i) / ||w_j - w_i||      the l1-norm force     (equation 5)

    The value is 0 and the gradient is exactly `-strength * dW`, so that reported losses
    stay those of the data and the force enters before the momentum (equation 3). It
    never changes the length of a filter to first order. Filters shorter than 1e-4 are
    left alone, and so are pairs whose directions are closer than 1e-4 by the l1 norm.

    Args:
        strength: Strength of the force, lambda_s. A negative one drives filters apart:
            Discrimination Regularization.
        norm: `"l2"`, stronger far from low rank, or `"l1"`, stronger near it.
        groups: Filter groups of the convolution; forces act inside each. Filters are
            the last axis of the kernel.
        normalize: Whether to take the mean over the filters of a group in place of
            their sum, so that a strength means the same for any number of filters.
        scale: `"norm"` multiplies by the length of the filter, so that all filters turn
            alike; `"inverse_norm"` divides by it (for comparison, Table 1).

    Raises:
        ValueError: An argument is impossible, or the filters cannot be divided into
            `groups`.

    Example:
        >>> layer = keras.layers.Conv2D(8, 3, kernel_regularizer=ForceRegularizer(1e-3))
    """

    def __init__(self, strength, norm="l2", groups=1, normalize=False, scale="norm"):
        self.strength = checks.number("strength", strength)
        self.norm = checks.choice("norm", norm, NORMS)
        self.groups = checks.integer("groups", groups)
        self.normalize = checks.boolean("normalize", normalize)
        self.scale = checks.choice("scale", scale, SCALES)

    def __call__(self, x):
        """Returns 0, whose gradient is `-strength * dW`."""
        x = ops.cast(x, "float32")
        value = -self.strength * ops.sum(x * ops.stop_gradient(self.force(x)))
        return value - ops.stop_gradient(value)

    def force(self, kernel):
        """Returns `dW`, the direction in which the filters are drawn.

        Args:
            kernel: Convolution kernel; its last axis is that of the filters.
        """
        shape = tuple(kernel.shape)
        if shape[-1] % self.groups:
            raise ValueError(
                f"`groups` must divide the {shape[-1]} filters of the kernel. "
                f"Received: groups={self.groups}"
            )
        each = shape[-1] // self.groups
        kernel = ops.cast(kernel, _precise())
        filters = ops.transpose(ops.reshape(kernel, (-1, shape[-1])))
        filters = ops.reshape(filters, (self.groups, each, -1))
        lengths = ops.sqrt(ops.sum(filters**2, axis=-1, keepdims=True))
        active = lengths > NEGLIGIBLE
        directions = ops.where(active, filters / ops.where(active, lengths, 1), 0)
        pull = _PULLS[self.norm](directions, ops.cast(active, directions.dtype))
        pull -= ops.sum(pull * directions, axis=-1, keepdims=True) * directions
        if self.normalize:
            pull /= each
        if self.scale == "norm":
            pull *= lengths
        else:
            pull /= ops.where(active, lengths, 1)
        pull = ops.reshape(ops.where(active, pull, 0), (shape[-1], -1))
        return ops.cast(ops.reshape(ops.transpose(pull), shape), "float32")

    def get_config(self):
        """Returns the arguments."""
        return {
            "strength": self.strength,
            "norm": self.norm,
            "groups": self.groups,
            "normalize": self.normalize,
            "scale": self.scale,
        }


def _precise() -> str:
    """Returns the dtype for distances of nearly coinciding filters."""
    return "float32" if keras.backend.backend() == "jax" else "float64"


def _l2_pull(directions, active):
    """Sum over j of w_j - w_i, for directions `(groups, filters, dimensions)`."""
    count = ops.sum(active, axis=1, keepdims=True)
    return ops.sum(directions, axis=1, keepdims=True) - count * directions


def _l1_pull(directions, active):
    """Sum over j of (w_j - w_i) / ||w_j - w_i||."""
    if keras.backend.backend() == "jax":
        return _l1_pull_by_differences(directions, active)
    products = ops.matmul(directions, ops.transpose(directions, (0, 2, 1)))
    distances = ops.sqrt(ops.maximum(2 - 2 * products, 0))
    weights = _inverse(distances, active)
    towards = ops.matmul(weights, directions)
    return towards - ops.sum(weights, axis=-1, keepdims=True) * directions


def _l1_pull_by_differences(directions, active):
    """As `_l1_pull`, from differences that are exact without float64, off in JAX.

    XLA fuses them into the sums, so that they take no memory.
    """
    differences = directions[:, None] - directions[:, :, None]
    distances = ops.sqrt(ops.sum(differences**2, axis=-1))
    weights = _inverse(distances, active)
    return ops.sum(weights[..., None] * differences, axis=2)


def _inverse(distances, active):
    """1 / distance of every pair that takes part, 0 for the others."""
    near = distances <= NEGLIGIBLE
    pairs = active * ops.transpose(active, (0, 2, 1))
    return ops.where(near, 0, pairs / ops.where(near, 1, distances))


_PULLS = {"l2": _l2_pull, "l1": _l1_pull}
