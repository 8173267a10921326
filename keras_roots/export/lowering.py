"""Copies of a model whose grouped convolutions run in one given way."""

import keras

from keras_roots import surgery
from keras_roots.layers import GroupedConv2D


def is_grouped(layer) -> bool:
    """Tells whether a layer is a convolution with groups that can be rewritten."""
    return type(layer) in (keras.layers.Conv2D, GroupedConv2D) and layer.groups > 1


def with_lowering(model: keras.Model, lowering: str) -> keras.Model:
    """Returns a copy of a model whose grouped convolutions all run in one way.

    Args:
        model: A functional or Sequential model. Its `keras.layers.Conv2D` with groups
            change too: TensorFlow would otherwise compile them with XLA.
        lowering: As for `GroupedConv2D`.

    Raises:
        ValueError: The model is subclassed.
    """

    def replace(layer):
        if not is_grouped(layer):
            return None
        return GroupedConv2D.from_config({**layer.get_config(), "lowering": lowering})

    return surgery.rewrite(model, replace)
