"""Regularisers of convolution kernels, and how a model gets them."""

from keras_roots.regularizers.attach import (
    RegularizerSum,
    paper_layers,
    relative_force,
    with_regularizer,
    without_regularizers,
)
from keras_roots.regularizers.force import ForceRegularizer
from keras_roots.regularizers.group_lasso import GroupLasso

__all__ = [
    "ForceRegularizer",
    "GroupLasso",
    "RegularizerSum",
    "paper_layers",
    "relative_force",
    "with_regularizer",
    "without_regularizers",
]
