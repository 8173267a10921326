"""Measured time and memory of models and files, side by side."""

from keras_roots.benchmarking.cases import (
    QUANTIZATIONS,
    RUNTIMES,
    Case,
    make_cases,
)
from keras_roots.benchmarking.comparison import (
    Latency,
    benchmark,
    compare,
    format_latencies,
    write_csv,
)
from keras_roots.benchmarking.file_profile import FileProfile, format_profiles
from keras_roots.benchmarking.latency_table import LatencyTable
from keras_roots.benchmarking.loaders import use_threads
from keras_roots.benchmarking.machine import processor, versions
from keras_roots.benchmarking.profiler import profile_cases, profile_file

__all__ = [
    "Case",
    "FileProfile",
    "Latency",
    "LatencyTable",
    "QUANTIZATIONS",
    "RUNTIMES",
    "benchmark",
    "compare",
    "format_latencies",
    "format_profiles",
    "make_cases",
    "processor",
    "profile_cases",
    "profile_file",
    "use_threads",
    "versions",
    "write_csv",
]
