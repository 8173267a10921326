"""Accuracy, bytes and latency of networks and their files."""

from keras_roots.training.evaluation.accuracy import (
    evaluate_on,
    headline,
    load_predictor,
    model_predictor,
    score_model,
)
from keras_roots.training.evaluation.formats import (
    CALIBRATION_IMAGES,
    EXPORT,
    FORMATS,
    LITERT_FORMATS,
)
from keras_roots.training.evaluation.formats import export as export_formats
from keras_roots.training.evaluation.measure import Measured, measure, measure_files
from keras_roots.training.evaluation.twin_files import (
    measure_twin_files,
    render_twin_files,
)
from keras_roots.training.evaluation.zoo import (
    Conditions,
    Released,
    find_entries,
    measure_released,
    where,
    wilson_interval,
    write_table,
)

__all__ = [
    "CALIBRATION_IMAGES",
    "Conditions",
    "EXPORT",
    "FORMATS",
    "LITERT_FORMATS",
    "Measured",
    "Released",
    "evaluate_on",
    "export_formats",
    "find_entries",
    "headline",
    "load_predictor",
    "measure",
    "measure_files",
    "measure_released",
    "measure_twin_files",
    "model_predictor",
    "render_twin_files",
    "score_model",
    "where",
    "wilson_interval",
    "write_table",
]
