"""Keras model zoo of convolutional networks that are cheaper by construction."""

import importlib

from keras_roots import layers, models, regularizers, sparsity
from keras_roots.models import *  # noqa: F403
from keras_roots.regularizers import (
    ForceRegularizer,
    with_regularizer,
    without_regularizers,
)

# Loaded on first use, so that importing the package stays quick.
_LAZY = {
    "profile": "keras_roots.profiling",
    "pack_groups": "keras_roots.export",
    "export_saved_model": "keras_roots.export",
    "export_tflite": "keras_roots.export",
    "benchmark": "keras_roots.benchmarking",
    "profile_file": "keras_roots.operation_profile",
    "rank_analysis": "keras_roots.lowrank",
    "plan_decomposition": "keras_roots.lowrank",
    "decompose": "keras_roots.lowrank",
    "shrink": "keras_roots.lowrank",
    "recalibrate": "keras_roots.lowrank",
    "to_tf_keras": "keras_roots.twin",
    "from_tf_keras": "keras_roots.twin",
    "plan_rootify": "keras_roots.rooting",
    "rootify": "keras_roots.rooting",
    "plan_compression": "keras_roots.planning",
    "compress": "keras_roots.training.compressing",
}

__all__ = [
    "ForceRegularizer",
    "layers",
    "models",
    "regularizers",
    "sparsity",
    "with_regularizer",
    "without_regularizers",
    *models.__all__,
    *_LAZY,
]


_LAZY_MODULES = ("analysis", "lowrank", "planning", "twin")


def __getattr__(name):
    if name in _LAZY_MODULES:
        return importlib.import_module(f"keras_roots.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'keras_roots' has no attribute {name!r}")
