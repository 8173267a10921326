"""Layers: convolutions with filter groups."""

from keras_roots.layers.grouped_conv2d import GroupedConv2D

__all__ = ["GroupedConv2D"]
