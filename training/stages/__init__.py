"""Stages that change a network in a folder of their own, resumably."""

from keras_roots.training.stages.compressing import compress, deliver, quantizations
from keras_roots.training.stages.compression import Compression
from keras_roots.training.stages.compression_report import (
    analyse,
    export,
    ranks,
    render,
)
from keras_roots.training.stages.compression_settings import (
    Budget,
    Decomposition,
    FineTuning,
    Force,
    Settings,
    Sparsification,
)
from keras_roots.training.stages.experiment_cheaper import (
    Budgeted,
    Forced,
    LowRank,
    Pruned,
)
from keras_roots.training.stages.experiment_rows import (
    Bench,
    Outcome,
    Row,
    Stage,
    error_of,
    rounded,
    run_row,
)
from keras_roots.training.stages.experiment_stages import (
    Fresh,
    Grouped,
    Trained,
    Whole,
    falling,
    rising,
)
from keras_roots.training.stages.optimizing import Settings as OptimizationSettings
from keras_roots.training.stages.optimizing import optimize
from keras_roots.training.stages.optimizing_methods import (
    METHODS as OPTIMIZATION_METHODS,
)

__all__ = [
    "compress",
    "Bench",
    "Budget",
    "Budgeted",
    "Compression",
    "Decomposition",
    "FineTuning",
    "Force",
    "Forced",
    "Fresh",
    "Grouped",
    "LowRank",
    "OPTIMIZATION_METHODS",
    "OptimizationSettings",
    "Outcome",
    "Pruned",
    "Row",
    "Settings",
    "Sparsification",
    "Stage",
    "Trained",
    "Whole",
    "analyse",
    "deliver",
    "error_of",
    "export",
    "falling",
    "optimize",
    "quantizations",
    "ranks",
    "render",
    "rising",
    "rounded",
    "run_row",
]
