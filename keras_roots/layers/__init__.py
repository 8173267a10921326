"""Layers: convolutions with filter groups, and what older networks normalise with."""

from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.layers.local_response_normalization import LocalResponseNormalization

__all__ = ["GroupedConv2D", "LocalResponseNormalization"]
