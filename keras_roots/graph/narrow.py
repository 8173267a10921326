"""Layers with fewer channels."""

from collections.abc import Callable

import keras
import numpy as np

from keras_roots.graph import surgery
from keras_roots.layers import BatchNormalization, FixedZeros, GroupedConv2D


def narrow(
    layer: keras.Layer,
    lost: np.ndarray,
    values: np.ndarray,
    kept: np.ndarray | None = None,
) -> tuple[dict, list[np.ndarray]]:
    """Returns the configuration and weights of a layer without some of its channels.

    Args:
        layer: A convolution, depthwise convolution, dense layer or BatchNormalization.
        lost: For each input channel, whether it is gone. A convolution with groups can
            lose none.
        values: For each input channel, the constant that it held if it is lost, else 0.
        kept: For each filter of a convolution, whether it stays.
    """
    return _NARROW[type(layer)](layer, lost, values, kept)


def _weighted(layer, lost, values, kept):
    config = surgery.configuration(layer)
    kernel, *bias = layer.get_weights()
    if kept is None:
        kept = np.ones(kernel.shape[-1], "bool")
    else:
        config["filters"] = int(kept.sum())
    # With groups the kernel has fewer input channels than the layer, and loses none.
    inputs = ~lost if lost.any() else np.ones(kernel.shape[-2], "bool")
    if values.any():
        window = tuple(range(kernel.ndim - 2))
        folded = values @ kernel.astype("float64").sum(axis=window)
        bias = [folded + bias[0] if bias else folded]
        config["use_bias"] = True
    held = layer.kernel_constraint
    if isinstance(held, FixedZeros):
        mask = held.mask[..., inputs, :][..., kept]
        config["kernel_constraint"] = FixedZeros(mask, held.constraint)
    return config, [kernel[..., inputs, :][..., kept], *(b[kept] for b in bias)]


def _depthwise(layer, lost, values, kept):
    kernel, *bias = layer.get_weights()
    outputs = (~lost).repeat(layer.depth_multiplier)
    return surgery.configuration(layer), [
        kernel[:, :, ~lost],
        *(b[outputs] for b in bias),
    ]


def _batch_norm(layer, lost, values, kept):
    return surgery.configuration(layer), [
        weight[~lost] for weight in layer.get_weights()
    ]


_NARROW: dict[type, Callable] = {
    keras.layers.Conv2D: _weighted,
    GroupedConv2D: _weighted,
    keras.layers.Dense: _weighted,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.BatchNormalization: _batch_norm,
    BatchNormalization: _batch_norm,
}
