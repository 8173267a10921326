"""What the networks of an experiment are worth as LiteRT files, measured in turns."""

import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import keras

from keras_roots import benchmarking, utils
from keras_roots.training import data
from keras_roots.training.evaluation import accuracy, formats

FORMATS = tuple(name for name, how in formats.FORMATS.items() if how)
_RUNS = 200  # timed calls of each file


def measure_files(
    models: Mapping[str, keras.Model], dataset: data.Dataset
) -> dict[str, dict]:
    """Exports networks as they are released, and measures all files side by side.

    Args:
        models: Networks by name; times are relative to the first.
        dataset: The data set, whose test split gives the error, and whose training
            split what int8 files are calibrated with.

    Returns:
        By name, for each of `FORMATS`: `FORMAT_error` on the test split, `FORMAT_bytes`
        and `FORMAT_zlib_bytes`, compressed at zlib's highest level, `FORMAT_ms` on one
        thread, and `FORMAT_ratio` to the float32 file of the first; `processor`.

    Raises:
        ValueError: A file does not agree with its network.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, model in models.items():
            own = Path(folder, name)
            own.mkdir()
            made = formats.export(model, dataset, own, FORMATS)
            paths |= {(name, form): path for form, path in made.items()}
        times = benchmarking.compare(
            {" ".join(key): os.fspath(path) for key, path in paths.items()}, runs=_RUNS
        )
        found = {name: {} for name in models}
        for ((name, form), path), time in zip(paths.items(), times, strict=True):
            columns = _describe(path, dataset) | {
                "ms": round(time.median_ms, 4),
                "ratio": round(time.ratio, 4),
            }
            found[name] |= {f"{form}_{key}": value for key, value in columns.items()}
    return {name: row | {"processor": time.processor} for name, row in found.items()}


def _describe(path, dataset) -> dict:
    predictor = accuracy.load_predictor(os.fspath(path))
    return {
        "error": round(1 - accuracy.evaluate_on(predictor, dataset).top1, 4),
        "bytes": utils.file_size(path),
        "zlib_bytes": len(zlib.compress(path.read_bytes(), 9)),
    }
