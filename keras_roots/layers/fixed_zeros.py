"""FixedZeros: a constraint that keeps pruned weights at zero in training."""

import base64
import math
import zlib

import keras
import numpy as np

from keras_roots.utils import checks


@keras.saving.register_keras_serializable(package="keras_roots")
class FixedZeros(keras.constraints.Constraint):
    """Constraint that keeps pruned weights at zero.

    Applied after every step of the optimiser, under every backend. A constraint has no
    variables, so the mask is a constant; it is saved with the layer, one bit per weight
    before compression.

    Args:
        mask: Array of the kernel's shape, true where weights are kept.
        constraint: Optional constraint that is applied first.

    Raises:
        ValueError: `mask` holds something else than truth values, or 0 and 1, or is
            empty; `constraint` is no constraint of Keras.
    """

    def __init__(self, mask, constraint=None):
        self.mask = _checked_mask(mask)
        self.constraint = checks.of_keras(
            "constraint", constraint, keras.constraints.get, "a constraint"
        )

    def __call__(self, w):
        """Returns the weights with zeros where the mask is false."""
        if tuple(w.shape) != self.mask.shape:
            raise ValueError(
                f"`mask` must have the shape {tuple(w.shape)} of the weights. "
                f"Received: mask of shape {self.mask.shape}"
            )
        w = keras.ops.convert_to_tensor(w)
        if self.constraint is not None:
            w = self.constraint(w)
        return keras.ops.where(self.mask, w, keras.ops.zeros_like(w))

    def get_config(self):
        """Returns the mask, packed, and the other constraint."""
        packed = zlib.compress(np.packbits(self.mask).tobytes())
        return {
            "mask": {
                "shape": list(self.mask.shape),
                "bits": base64.b85encode(packed).decode("ascii"),
            },
            "constraint": keras.constraints.serialize(self.constraint),
        }

    @classmethod
    def from_config(cls, config):
        """Unpacks the mask."""
        shape, bits = config["mask"]["shape"], config["mask"]["bits"]
        packed = np.frombuffer(zlib.decompress(base64.b85decode(bits)), "uint8")
        mask = np.unpackbits(packed, count=math.prod(shape)).reshape(shape)
        return cls(mask, config["constraint"])


def _checked_mask(mask) -> np.ndarray:
    array = np.asarray(mask)
    truths = array.dtype.kind == "b" or (
        array.dtype.kind in "uif" and np.isin(array, (0, 1)).all()
    )
    if not truths or not array.ndim or not array.size:
        raise ValueError(
            "`mask` must be an array of truth values, of the kernel's shape. "
            f"Received: mask of shape {array.shape} and type {array.dtype}"
        )
    return array.astype("bool")
