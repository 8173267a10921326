"""What every technique needs of a convolution: description, samples, responses."""

from keras_roots.convolutions.description import (
    KERNEL_LAYERS,
    Convolution,
    Cost,
    KernelShape,
    Pair,
    input_sides,
    total_cost,
)
from keras_roots.convolutions.divergence import OutputDivergence
from keras_roots.convolutions.find import Layers, kernel_layers
from keras_roots.convolutions.find import convolutions as find_convolutions
from keras_roots.convolutions.kernels import assign as assign_kernel
from keras_roots.convolutions.kernels import (
    from_matrices,
    to_matrices,
    to_separable_matrices,
)
from keras_roots.convolutions.kernels import read as read_kernels
from keras_roots.convolutions.knapsack import best_options, check_budget, log_loss
from keras_roots.convolutions.measured_times import ARITHMETIC, MeasuredTimes
from keras_roots.convolutions.measured_times import COLUMNS as TIME_COLUMNS
from keras_roots.convolutions.moments import Moments
from keras_roots.convolutions.patches import (
    answers_at,
    check_finite,
    choose_positions,
    features,
    grouped,
    patches_at,
    respond,
)
from keras_roots.convolutions.plan import LayerPlan, Plan
from keras_roots.convolutions.recalibrate import recalibrate
from keras_roots.convolutions.reconstruction import LayerFit, reconstruct, with_biases
from keras_roots.convolutions.responses import ResponseStatistics, layer_responses
from keras_roots.convolutions.samples import (
    MOST_SAMPLES,
    Samples,
    infer,
    runnable,
    warn_if_few,
)

__all__ = [
    "ARITHMETIC",
    "Convolution",
    "Cost",
    "KERNEL_LAYERS",
    "KernelShape",
    "LayerFit",
    "LayerPlan",
    "Layers",
    "MOST_SAMPLES",
    "MeasuredTimes",
    "Moments",
    "OutputDivergence",
    "Pair",
    "Plan",
    "ResponseStatistics",
    "Samples",
    "TIME_COLUMNS",
    "answers_at",
    "assign_kernel",
    "best_options",
    "check_budget",
    "check_finite",
    "choose_positions",
    "features",
    "find_convolutions",
    "grouped",
    "from_matrices",
    "infer",
    "input_sides",
    "kernel_layers",
    "layer_responses",
    "log_loss",
    "patches_at",
    "read_kernels",
    "recalibrate",
    "reconstruct",
    "respond",
    "runnable",
    "to_matrices",
    "to_separable_matrices",
    "total_cost",
    "with_biases",
    "warn_if_few",
]
