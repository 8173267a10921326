"""Ranks of convolutions by principal component analysis of their filters."""

import dataclasses

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import (
    Convolution,
    Layers,
    find_convolutions,
    read_kernels,
    to_matrices,
)
from keras_roots.utils import checks, format_table

# Rounding must not add one to a rank whose energy is exactly the bound.
_FUZZ = 1e-12


@dataclasses.dataclass(frozen=True)
class LayerRank:
    """Rank of one convolution.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        groups: Filter groups.
        rank: M, the sum of the groups' ranks.
        full: N, the number of filters.
        group_ranks: Rank of each group; 0 where all weights are zero.
        eigenvalues: Of the uncentred covariance of each group's filters,
            `[groups, N / groups]`, descending.
        mean_direction: Length of the mean of the filters' directions, the mean over
            groups: 1 where all filters are parallel, `(N / groups) ** -0.5` where they
            are orthogonal. Forces between filters bring it towards 1.
    """

    name: str
    groups: int
    rank: int
    full: int
    group_ranks: tuple[int, ...]
    eigenvalues: np.ndarray = dataclasses.field(repr=False, compare=False)
    mean_direction: float = 0.0

    @property
    def ratio(self) -> float:
        """Rank ratio M / N."""
        return self.rank / self.full

    @property
    def leading_energy(self) -> float:
        """Part of the energy that is in the first direction of each group."""
        total = self.eigenvalues.sum()
        return float(self.eigenvalues[:, 0].sum() / total) if total else 0.0


@dataclasses.dataclass(frozen=True)
class RankAnalysis:
    """Ranks of a model's convolutions; prints as a table.

    Attributes:
        layers: One entry per convolution.
        error: Bound on the relative squared error of reconstruction.
    """

    layers: tuple[LayerRank, ...]
    error: float

    @property
    def mean_ratio(self) -> float:
        """Mean rank ratio over the layers."""
        return sum(layer.ratio for layer in self.layers) / len(self.layers)

    def __str__(self) -> str:
        rows = [
            (
                layer.name,
                str(layer.groups),
                str(layer.rank),
                str(layer.full),
                f"{layer.ratio:.2%}",
                f"{layer.leading_energy:.2%}",
                f"{layer.mean_direction:.3f}",
            )
            for layer in self.layers
        ]
        header = ("layer", "groups", "rank", "filters", "ratio", "first direction")
        return format_table(
            (*header, "mean direction"),
            rows,
            ("mean", "", "", "", f"{self.mean_ratio:.2%}", "", ""),
            left=1,
        )


def rank_analysis(
    model: keras.Model, error: float = 0.05, layers: Layers = None
) -> RankAnalysis:
    """Finds the rank of every convolution.

    By uncentred principal component analysis of the filters, as Wen et al., Force
    Regularization (ICCV 2017), section 3.1 and Table 1: the rank M is the least number
    of directions that hold `1 - error` of the energy of a layer's N filters. With
    filter groups, that of every group by itself.

    Args:
        model: A functional or Sequential model, models within it included.
        error: Bound on the squared error of reconstruction relative to the energy,
            between 0 and 1.
        layers: Which convolutions: names, a function of the layer, `"pointwise"`,
            `"spatial"`, or `None` for all but depthwise ones. Dense layers take part
            where they are named or a function chooses them.

    Returns:
        A `RankAnalysis`: `.layers`, `.mean_ratio`, and a table when printed.

    Raises:
        ValueError: `error` is out of bounds, the model is subclassed or has none of the
            convolutions, or weights are not finite.

    Example:
        >>> from keras_roots import RootConvNet
        >>> rank_analysis(RootConvNet()).layers[0].full
        32
    """
    error = checks.part("error", error)
    model = graph.take_apart(model)
    return RankAnalysis(
        tuple(
            _layer_rank(name, layer, error)
            for name, layer in find_convolutions(model, layers).items()
        ),
        error,
    )


def spectrum(matrices: np.ndarray) -> np.ndarray:
    """Returns the eigenvalues of `K^T K` of every matrix K, descending.

    Args:
        matrices: `[groups, D, n]`.

    Returns:
        `[groups, n]`; zeros at the end where D < n.
    """
    # Singular values: squaring the matrix would lose half of their digits.
    values = np.linalg.svd(matrices, compute_uv=False) ** 2
    return np.pad(values, ((0, 0), (0, matrices.shape[-1] - values.shape[-1])))


def relative_errors(eigenvalues: np.ndarray) -> np.ndarray:
    """Returns the energy left out by every rank, relative to the whole.

    Args:
        eigenvalues: `[n]`, descending.

    Returns:
        `[n + 1]`: entry r is the error at rank r. All 0 if there is no energy.
    """
    # Summed from the smallest, so that the last ones are not lost in rounding.
    tails = np.append(np.cumsum(eigenvalues[::-1])[::-1], 0.0)
    return tails / tails[0] if tails[0] > 0 else np.zeros_like(tails)


def within(errors, bound: float):
    """Tells whether errors are within a bound, rounding aside."""
    return errors <= bound + _FUZZ


def _layer_rank(name, layer, error) -> LayerRank:
    whole = Convolution.of(layer)
    matrices = to_matrices(read_kernels(name, layer), whole.groups)
    eigenvalues = spectrum(matrices)
    ranks = tuple(
        int(np.argmax(within(relative_errors(group), error))) for group in eigenvalues
    )
    return LayerRank(
        name,
        whole.groups,
        sum(ranks),
        whole.filters,
        ranks,
        eigenvalues,
        _mean_direction(matrices),
    )


def _mean_direction(matrices) -> float:
    lengths = np.linalg.norm(matrices, axis=1, keepdims=True)
    directions = matrices / np.where(lengths, lengths, 1)  # none of a filter of zeros
    return float(np.linalg.norm(directions.mean(axis=2), axis=1).mean())
