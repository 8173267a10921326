"""Layers: convolutions with filter groups, and normalisation beside them."""

from keras_roots.layers.batch_normalization import BatchNormalization
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.layers.local_response_normalization import LocalResponseNormalization

__all__ = ["BatchNormalization", "GroupedConv2D", "LocalResponseNormalization"]
