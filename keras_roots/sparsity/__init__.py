"""Sparse networks: pruning of weights, removal of dead filters."""

from keras_roots.layers import FixedZeros
from keras_roots.sparsity.dead_filters import (
    DeadFilters,
    LayerFilters,
    dead_filters,
    remove_dead_filters,
)
from keras_roots.sparsity.pruning import LayerSparsity, Sparsity, prune, sparsity_report

__all__ = [
    "DeadFilters",
    "FixedZeros",
    "LayerFilters",
    "LayerSparsity",
    "Sparsity",
    "dead_filters",
    "prune",
    "remove_dead_filters",
    "sparsity_report",
]
