"""Decomposing a model: convolutions and Dense layers become two cheaper ones each."""

import os
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_roots.benchmarking import LatencyTable
from keras_roots.convolutions import Layers
from keras_roots.lowrank.choices import Methods
from keras_roots.lowrank.plan import plan_decomposition


def decompose(
    model: keras.Model,
    error: float = 0.05,
    method: Methods = "pca",
    ranks: Mapping[str, int] | None = None,
    cost: str | None = "macs",
    *,
    budget: float | None = None,
    layers: Layers = None,
    images: np.ndarray | None = None,
    latency_table: str | os.PathLike | LatencyTable | None = None,
    rank_multiple: int = 1,
    input_shape: Sequence | None = None,
) -> keras.Model:
    """Replaces convolutions by two cheaper ones each.

    Wen et al., Force Regularization (ICCV 2017), section 3.1 and Fig. 3. Outputs differ
    by the approximation only; at full rank they are the same. See `plan_decomposition`
    for the arguments, and for what it saves.

    Args:
        model: A functional or Sequential model, models within it included. It stays as
            it is.
        error: As for `plan_decomposition`, like all that follow.
        method: How, for all layers or by layer.
        ranks: Ranks by layer.
        cost: What decides whether a layer is worth it.
        budget: Part of the model's cost that it may keep.
        layers: Which convolutions and Dense layers.
        images: Sample images for methods by responses.
        latency_table: Measured times for `cost="latency"`.
        rank_multiple: What ranks are rounded up to.
        input_shape: Shape of one input, where the model's own has unknown sides.

    Returns:
        A copy of the model, not compiled. A layer `conv` that is decomposed became
        `conv_basis` (`conv_vertical` if separable) and `conv`, the second of which has
        its bias and activation.

    Raises:
        ValueError: As `plan_decomposition`.

    Example:
        >>> from keras_roots import RootConvNet
        >>> small = decompose(RootConvNet(), ranks={"conv2": 8})
        >>> small.get_layer("conv2_basis").filters
        8
    """
    return plan_decomposition(
        model,
        error,
        method,
        ranks,
        cost,
        budget=budget,
        layers=layers,
        images=images,
        latency_table=latency_table,
        rank_multiple=rank_multiple,
        input_shape=input_shape,
    ).apply()
