"""Measured time and memory of models and files, side by side."""

from keras_roots.benchmarking.comparison import (
    Latency,
    benchmark,
    compare,
    processor,
    versions,
    write_csv,
)
from keras_roots.benchmarking.comparison import table as latency_rows
from keras_roots.benchmarking.latency_table import (
    DTYPES,
    ConvSpec,
    LatencyTable,
    specifications,
)
from keras_roots.benchmarking.operation_profile import (
    FileProfile,
    profile_file,
    profile_files,
)
from keras_roots.benchmarking.timers import (
    QUANTIZATIONS,
    RUNTIMES,
    Case,
    check_case,
    find_model,
)

__all__ = [
    "ConvSpec",
    "profile_file",
    "benchmark",
    "Case",
    "DTYPES",
    "FileProfile",
    "Latency",
    "LatencyTable",
    "QUANTIZATIONS",
    "RUNTIMES",
    "check_case",
    "compare",
    "find_model",
    "latency_rows",
    "processor",
    "profile_files",
    "specifications",
    "versions",
    "write_csv",
]
