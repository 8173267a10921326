"""Twins of Keras 3 models in tf_keras, for tensorflow-model-optimization."""

from keras_roots.twin.conversion import from_tf_keras, to_tf_keras
from keras_roots.twin.optimizing import clusterable, prunable, pruning_callback, strip
from keras_roots.twin.quantizing import export_int8, quantizable

__all__ = [
    "clusterable",
    "export_int8",
    "from_tf_keras",
    "prunable",
    "pruning_callback",
    "quantizable",
    "strip",
    "to_tf_keras",
]
