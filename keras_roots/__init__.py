"""Keras model zoo of convolutional networks that are cheaper by construction."""

import importlib
import importlib.metadata

from keras_roots import terminal

terminal.hush_scripts()  # before TensorFlow is imported

# Keras finds the classes of these by their registered names.
from keras_roots import layers, models, regularizers  # noqa: E402

_MODELS = "keras_roots.models"
_REGULARIZERS = "keras_roots.regularizers"

# Where public names come from; each is imported on first use.
_PUBLIC = {
    "RootAlexNet": _MODELS,
    "RootConvNet": _MODELS,
    "RootGoogLeNet": _MODELS,
    "RootNiN": _MODELS,
    "RootNiNThin": _MODELS,
    "RootResNet20": _MODELS,
    "RootResNet50": _MODELS,
    "RootResNet50Thin": _MODELS,
    "RootResNet200": _MODELS,
    "create_model": _MODELS,
    "list_models": _MODELS,
    "ForceRegularizer": _REGULARIZERS,
    "with_regularizer": _REGULARIZERS,
    "without_regularizers": _REGULARIZERS,
    "register_composite": "keras_roots.graph",
    "profile": "keras_roots.profiling",
    "recalibrate": "keras_roots.convolutions",
    "pack_groups": "keras_roots.export",
    "export_saved_model": "keras_roots.export",
    "export_tflite": "keras_roots.export",
    "benchmark": "keras_roots.benchmarking",
    "profile_file": "keras_roots.benchmarking",
    "rank_analysis": "keras_roots.lowrank",
    "plan_decomposition": "keras_roots.lowrank",
    "decompose": "keras_roots.lowrank",
    "shrink": "keras_roots.lowrank",
    "plan_rootify": "keras_roots.groups",
    "rootify": "keras_roots.groups",
    "to_tf_keras": "keras_roots.tf_keras_twin",
    "from_tf_keras": "keras_roots.tf_keras_twin",
    "plan_compression": "keras_roots.compression",
    "compress": "keras_roots.compression",
}
_PACKAGES = (
    "analysis",
    "benchmarking",
    "compression",
    "export",
    "groups",
    "lowrank",
    "sparsity",
    "tf_keras_twin",
)

__all__ = ["layers", "models", "regularizers", *_PACKAGES, *_PUBLIC]


def __getattr__(name):
    if name == "__version__":
        return importlib.metadata.version("keras_roots")
    if name in _PACKAGES:
        return importlib.import_module(f"keras_roots.{name}")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'keras_roots' has no attribute {name!r}")


def __dir__():
    return __all__
