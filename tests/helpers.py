"""What tests of several modules share: tiny networks, layers and kernels."""

import keras
import numpy as np
from keras import layers

from keras_roots.layers import GroupedConv2D


def conv(filters, kernel_size, groups=1, **kwargs):
    """A convolution whose biases are not zero."""
    kwargs = {"bias_initializer": "normal", **kwargs}
    if groups == 1:
        return layers.Conv2D(filters, kernel_size, **kwargs)
    return GroupedConv2D(filters, kernel_size, groups=groups, **kwargs)


def one_layer(layer, kernel=None, shape=(12, 12, 6)):
    """A network of one layer, with a kernel if one is given."""
    model = keras.Sequential([keras.Input(shape), layer])
    if kernel is not None:
        layer.set_weights([kernel, *layer.get_weights()[1:]])
    return model


def kernel_of(singular_values, shape, seed=0):
    """A kernel whose groups' matrices have these singular values, group by group."""
    rng = np.random.default_rng(seed)
    groups = []
    for values in singular_values:
        left = np.linalg.qr(rng.normal(size=(np.prod(shape[:3]), len(values))))[0]
        filters = shape[3] // len(singular_values)
        right = np.linalg.qr(rng.normal(size=(filters, len(values))))[0]
        groups.append(left * values @ right.T)
    return np.concatenate(groups, axis=1).reshape(shape)
