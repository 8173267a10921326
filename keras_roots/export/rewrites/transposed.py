"""Transposed convolutions as 1x1 convolutions."""

import keras

from keras_roots import graph


def convolve_transposed(model: keras.Model) -> tuple[keras.Model, dict[str, str]]:
    """Replaces transposed convolutions whose kernels do not overlap by 1x1s.

    LiteRT computes such a layer more slowly than a 1x1 that has the filters of every
    place of the kernel, and moves of their outputs to these places, although that
    writes them twice. Layers whose kernels are not as large as their strides stay, and
    those whose inputs have no fixed size.

    Args:
        model: A functional or Sequential model. It stays as it is.

    Returns:
        A copy with the same outputs, and the change of each layer.
    """
    kind = keras.layers.Conv2DTranspose
    parts = graph.take_apart(model, [kind])
    if parts is model:
        return model, {}
    left = {name for name, layer in graph.operations(parts) if isinstance(layer, kind)}
    changed = [
        layer.name
        for name, layer in graph.operations(model)
        if isinstance(layer, kind) and name not in left
    ]
    return parts, dict.fromkeys(changed, "a 1x1 and moves")
