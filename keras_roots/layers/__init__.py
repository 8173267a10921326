"""Layers: convolutions with filter groups, and normalisation beside them."""

from keras_roots.layers import jax_lowering
from keras_roots.layers.batch_normalization import BatchNormalization
from keras_roots.layers.fixed_zeros import FixedZeros
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.layers.local_response_normalization import LocalResponseNormalization
from keras_roots.layers.lowering import LOWERINGS, grouped_conv2d, native_works

__all__ = [
    "BatchNormalization",
    "FixedZeros",
    "GroupedConv2D",
    "LOWERINGS",
    "LocalResponseNormalization",
    "grouped_conv2d",
    "jax_lowering",
    "native_works",
]
