"""Magnitude pruning: small weights become zero, and stay zero in training."""

import dataclasses
from collections.abc import Callable, Iterable

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import read_kernels
from keras_roots.graph import Selection
from keras_roots.layers import FixedZeros
from keras_roots.utils import checks, format_table

SCOPES = ("layer", "global")

_PRUNABLE = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
)


@dataclasses.dataclass(frozen=True)
class LayerSparsity:
    """Zeros in the kernel of one layer.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        zeros: Weights that are zero.
        weights: All weights of the kernel.
    """

    name: str
    zeros: int
    weights: int

    @property
    def fraction(self) -> float:
        """Zeros over weights."""
        return self.zeros / self.weights


@dataclasses.dataclass(frozen=True)
class Sparsity:
    """Zeros in the kernels of a model; prints as a table.

    Attributes:
        layers: Its convolution and dense layers.
    """

    layers: tuple[LayerSparsity, ...]

    @property
    def zeros(self) -> int:
        """Weights that are zero."""
        return sum(layer.zeros for layer in self.layers)

    @property
    def weights(self) -> int:
        """All weights of the kernels."""
        return sum(layer.weights for layer in self.layers)

    @property
    def fraction(self) -> float:
        """Zeros over weights."""
        return self.zeros / self.weights if self.weights else 0.0

    def __str__(self) -> str:
        *rows, total = [
            (name, f"{part.zeros:,}", f"{part.weights:,}", f"{part.fraction:.2%}")
            for name, part in [*((r.name, r) for r in self.layers), ("total", self)]
        ]
        return format_table(("layer", "zeros", "weights", "sparsity"), rows, total, 1)


def prune(
    model: keras.Model,
    sparsity: float,
    layers: Iterable[str] | Callable[[keras.Layer], bool] | None = None,
    scope: str = "layer",
) -> keras.Model:
    """Sets the smallest weights of a model to zero, where they stay in training.

    Magnitude pruning, which Force Regularization (Wen et al., ICCV 2017), section 5.4,
    combines with lower rank. A pruned file compresses better, but a dense kernel with
    zeros takes the same time. Prune last: decomposing or packing a layer gives it
    another kernel.

    Args:
        model: A functional or Sequential model, models within it included. It stays as
            it is.
        sparsity: Part of the weights to be zero, at least 0 and below 1. Weights that
            an earlier pruning fixed at zero are among them.
        layers: Names of convolution or dense layers, or a function of a layer; `None`
            for all but depthwise, separable and transposed ones.
        scope: `"layer"`: that part of every kernel; `"global"`: of all of them
            together, so that layers with small weights get more zeros.

    Returns:
        A copy of the model, not compiled, whose pruned kernels have a `FixedZeros`
        constraint.

    Raises:
        ValueError: An argument is impossible, weights are not finite, or the model is
            subclassed.

    Example:
        >>> sparse = prune(model, 0.8)
        >>> print(sparsity_report(sparse))
    """
    checks.part("sparsity", sparsity, zero=True)
    checks.choice("scope", scope, SCOPES)
    chosen = Selection(layers, _is_prunable, "convolution or dense layers")
    model = graph.expand_composites(model)
    kernels = {
        id(layer): _ranked(name, layer)
        for name, layer in graph.operations(model)
        if chosen(layer, name)
    }
    chosen.check(model)
    masks = _masks(kernels, sparsity, scope)

    def replace(layer):
        if id(layer) not in masks:
            return None
        mask = masks[id(layer)]
        held = layer.kernel_constraint
        if isinstance(held, FixedZeros):
            held = held.constraint
        config, (kernel, *others) = graph.merged(layer)
        config["kernel_constraint"] = FixedZeros(mask, held)
        pruned = np.where(mask, kernel, np.zeros_like(kernel))
        new = layer.__class__.from_config(config)
        return graph.Replacement([new], [[pruned, *others]])

    return graph.rewrite(model, replace)


def sparsity_report(model: keras.Model) -> Sparsity:
    """Counts the zeros in the kernels of the convolution and dense layers of a model.

    Args:
        model: A functional or Sequential model, models within it included.

    Returns:
        A `Sparsity`: `.fraction`, `.layers`, and a table when printed.

    Raises:
        ValueError: The model is subclassed.
    """
    kernels = (
        (name, layer.get_weights()[0])
        for name, layer in graph.operations(model)
        if _is_prunable(layer)
    )
    return Sparsity(
        tuple(
            LayerSparsity(name, int((kernel == 0).sum()), kernel.size)
            for name, kernel in kernels
        )
    )


def _is_prunable(layer) -> bool:
    return graph.is_a(layer, *_PRUNABLE) and layer.built


def _ranked(name, layer) -> np.ndarray:
    """Returns the magnitudes of a kernel, -1 where weights are fixed already."""
    magnitudes = np.abs(read_kernels(name, layer)).astype("float32")
    magnitudes = magnitudes.reshape(layer.kernel.shape)  # that of a Dense layer is 1x1
    if isinstance(layer.kernel_constraint, FixedZeros):
        magnitudes[~layer.kernel_constraint.mask] = -1
    return magnitudes


def _masks(kernels, sparsity, scope) -> dict[int, np.ndarray]:
    if scope == "layer":
        return {key: _largest(kernel, sparsity) for key, kernel in kernels.items()}
    every = np.concatenate([kernel.ravel() for kernel in kernels.values()])
    ends = np.cumsum([kernel.size for kernel in kernels.values()])[:-1]
    parts = np.split(_largest(every, sparsity), ends)
    return {
        key: part.reshape(kernel.shape)
        for (key, kernel), part in zip(kernels.items(), parts, strict=True)
    }


def _largest(magnitudes, sparsity) -> np.ndarray:
    """Returns where all but the smallest are; of equal ones the first are small."""
    fixed = magnitudes < 0
    count = max(round(sparsity * magnitudes.size), int(fixed.sum()))
    mask = np.ones(magnitudes.size, "bool")
    mask[np.argsort(magnitudes, axis=None, kind="stable")[:count]] = False
    return mask.reshape(magnitudes.shape)
