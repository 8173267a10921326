"""Exports: SavedModel and LiteRT files, packing of groups, and their check."""

from keras_roots.export.agreement import ExportError, is_softmax
from keras_roots.export.check import (
    ExportReport,
    check_limits,
    reference_outputs,
    require_tensorflow,
)
from keras_roots.export.check import compare as compare_outputs
from keras_roots.export.flatbuffer import IO, convert, run_converter
from keras_roots.export.images import (
    as_images,
    image_shape,
    input_shapes,
    random_images,
    random_samples,
)
from keras_roots.export.input_range import InputRange, InputRangeWarning, input_ranges
from keras_roots.export.litert import (
    QUANTIZATIONS,
    TFLiteReport,
    export_tflite,
    write_for_timing,
)
from keras_roots.export.operations import Operation, read_operations
from keras_roots.export.packing import pack_groups
from keras_roots.export.rewrites import CHOICES as REWRITE_CHOICES
from keras_roots.export.rewrites import LATENCY, REWRITES, rewrite
from keras_roots.export.rewrites import names as rewrite_names
from keras_roots.export.rewrites.auxiliary import drop_auxiliary_heads
from keras_roots.export.rewrites.folding import is_batch_norm
from keras_roots.export.rewrites.normalization import merge_normalization
from keras_roots.export.rewrites.pooling import convolve_average_pools
from keras_roots.export.rewrites.projections import merge_projections
from keras_roots.export.rewrites.stem import widen_stem
from keras_roots.export.rewrites.transposed import convolve_transposed
from keras_roots.export.runner import LiteRTModel, require_litert
from keras_roots.export.saved_model import (
    SavedModelReport,
    export_saved_model,
    in_float32,
    write_saved_model,
)
from keras_roots.export.signature import (
    by_name,
    in_order,
    input_names,
    output_names,
    packed,
)
from keras_roots.export.targets import HOST, TARGETS, host_target, resolve_target

__all__ = [
    "ExportError",
    "ExportReport",
    "IO",
    "InputRange",
    "InputRangeWarning",
    "LATENCY",
    "LiteRTModel",
    "Operation",
    "QUANTIZATIONS",
    "REWRITES",
    "REWRITE_CHOICES",
    "SavedModelReport",
    "HOST",
    "TARGETS",
    "host_target",
    "resolve_target",
    "TFLiteReport",
    "as_images",
    "by_name",
    "check_limits",
    "compare_outputs",
    "convert",
    "convolve_average_pools",
    "convolve_transposed",
    "drop_auxiliary_heads",
    "export_saved_model",
    "export_tflite",
    "image_shape",
    "in_float32",
    "in_order",
    "input_names",
    "input_ranges",
    "input_shapes",
    "is_batch_norm",
    "is_softmax",
    "merge_normalization",
    "merge_projections",
    "output_names",
    "pack_groups",
    "packed",
    "random_images",
    "random_samples",
    "read_operations",
    "reference_outputs",
    "require_litert",
    "require_tensorflow",
    "rewrite",
    "rewrite_names",
    "run_converter",
    "widen_stem",
    "write_for_timing",
    "write_saved_model",
]
