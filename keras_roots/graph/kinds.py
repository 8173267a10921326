"""Which class a layer is of: its own, not one that it inherits from.

A subclass may compute anything. So only layers of Keras's own classes, and of this
package's, are changed; others are left as they are.
"""

import keras

from keras_roots.layers import BatchNormalization, GroupedConv2D

# Classes of this package that compute what their parents do.
_SAME_AS = {
    GroupedConv2D: keras.layers.Conv2D,
    BatchNormalization: keras.layers.BatchNormalization,
}


def is_a(layer, *classes: type) -> bool:
    """Tells whether a layer is exactly of a class, so that what it computes is known.

    Args:
        layer: A layer or an operation of `keras.ops`.
        *classes: Classes of Keras. Those of this package that compute the same count as
            they do: `GroupedConv2D` is a `Conv2D`.

    Returns:
        False for subclasses, and for layers with quantised weights.
    """
    kind = type(layer)
    return _SAME_AS.get(kind, kind) in classes and not _is_quantized(layer)


def obstacle(layer, *classes: type) -> str:
    """Returns why a layer that inherits from classes is none of them.

    Args:
        layer: As for `is_a`.
        *classes: As for `is_a`.

    Returns:
        The reason that plans give for a layer that stays. Empty if the layer is of one
        of the classes, or has nothing to do with them.
    """
    if is_a(layer, *classes) or not isinstance(layer, classes):
        return ""
    if _is_quantized(layer):
        return f"its weights are quantised to {layer.quantization_mode}"
    parent = next(kind for kind in classes if isinstance(layer, kind))
    return (
        f"a {type(layer).__name__}, a subclass of {parent.__name__}: "
        "what it computes is not known"
    )


def _is_quantized(layer) -> bool:
    return getattr(layer, "quantization_mode", None) is not None
