"""Twins of Keras 3 models in tf_keras, for tensorflow-model-optimization."""

from keras_roots.tf_keras_twin.conversion import from_tf_keras, to_tf_keras
from keras_roots.tf_keras_twin.optimization import (
    clusterable,
    prunable,
    pruning_callback,
    strip,
)
from keras_roots.tf_keras_twin.quantization import export_int8, quantizable
from keras_roots.tf_keras_twin.requirements import require_tfmot

__all__ = [
    "clusterable",
    "export_int8",
    "from_tf_keras",
    "prunable",
    "pruning_callback",
    "quantizable",
    "require_tfmot",
    "strip",
    "to_tf_keras",
]
