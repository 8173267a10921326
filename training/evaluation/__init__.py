"""What networks and their files are worth: accuracy, bytes, latency."""

from keras_roots.training.evaluation.accuracy import (
    evaluate_on,
    load_predictor,
    model_predictor,
    score,
)
from keras_roots.training.evaluation.experiment_files import FORMATS as LITERT_FORMATS
from keras_roots.training.evaluation.experiment_files import measure_files
from keras_roots.training.evaluation.formats import (
    CALIBRATION_IMAGES,
    EXPORT,
    FORMATS,
    rank_labels,
)
from keras_roots.training.evaluation.formats import export as export_formats
from keras_roots.training.evaluation.twin_files import measure as measure_twin_files
from keras_roots.training.evaluation.twin_files import render as render_twin_files
from keras_roots.training.evaluation.zoo_measuring import (
    LITERT,
    Laboratory,
    find_entries,
    where,
    wilson_interval,
    write_table,
)
from keras_roots.training.evaluation.zoo_measuring import measure as measure_released

__all__ = [
    "CALIBRATION_IMAGES",
    "EXPORT",
    "FORMATS",
    "LITERT",
    "LITERT_FORMATS",
    "Laboratory",
    "evaluate_on",
    "export_formats",
    "find_entries",
    "load_predictor",
    "measure_files",
    "measure_released",
    "measure_twin_files",
    "model_predictor",
    "rank_labels",
    "render_twin_files",
    "score",
    "where",
    "wilson_interval",
    "write_table",
]
