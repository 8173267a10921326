"""Regularisers of convolution kernels, and how a model gets them."""

from keras_roots.regularizers.attach import (
    PAPER_LAYERS,
    RegularizerSum,
    paper_layers,
    relative_force,
    with_regularizer,
    without_regularizers,
)
from keras_roots.regularizers.force import NORMS, SCALES, ForceRegularizer
from keras_roots.regularizers.group_lasso import GroupLasso

__all__ = [
    "ForceRegularizer",
    "GroupLasso",
    "NORMS",
    "PAPER_LAYERS",
    "RegularizerSum",
    "SCALES",
    "paper_layers",
    "relative_force",
    "with_regularizer",
    "without_regularizers",
]
