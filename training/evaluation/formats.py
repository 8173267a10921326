"""One network in every format that its accuracy is released for."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

import keras_roots
from keras_roots.training import data
from keras_roots.training.evaluation import accuracy

# Format: the quantisation of its LiteRT file; the Keras model has no file.
FORMATS = {
    "keras": None,
    "litert_float32": "none",
    "litert_int8": "int8",
}
CALIBRATION_IMAGES = 500  # of the training split
# The same for every host, so that the figures of a file do not depend on where it was
# exported.
EXPORT = {"optimize": "latency", "target": "avx512"}
_CALIBRATION_SEED = 0


def export(
    model: keras.Model,
    dataset: data.Dataset,
    folder: str | os.PathLike,
    formats: Sequence[str] = tuple(FORMATS),
) -> dict[str, Path | None]:
    """Exports a network as it is released: with `EXPORT`, int8 by training images.

    Args:
        model: The network, which takes pixels 0 to 255.
        dataset: Where images to calibrate with come from.
        folder: Existing folder for the files, `NAME-FORMAT.tflite`.
        formats: Keys of `FORMATS`.

    Returns:
        The file of each format; `None` for the Keras model, which has none.

    Raises:
        ValueError: A format is unknown, or a file does not agree with the network.
        OSError: The folder cannot be written.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(f"`formats` must be of {list(FORMATS)}. Received: {unknown}")
    paths = {
        name: Path(folder, f"{model.name}-{name}.tflite") if FORMATS[name] else None
        for name in formats
    }
    for name, path in paths.items():
        if path is not None:
            _export(model, path, FORMATS[name], dataset)
    return paths


def rank_labels(
    model: keras.Model,
    files: dict[str, Path | None],
    dataset: data.Dataset,
    split: str = "test",
    *,
    batch_size: int = 100,
    threads: int = 1,
) -> dict[str, np.ndarray]:
    """Ranks the labels of a split by every format, as `evaluation.rank_labels` does.

    Args:
        model: The network.
        files: Its files, as from `export`.
        dataset: The data set.
        split: `"test"` or `"train"`.
        batch_size: Images per call.
        threads: Threads for LiteRT files.

    Returns:
        Ranks `(images,)` by format.

    Raises:
        ValueError: The network has other classes than the data set.
    """
    predictors = {
        name: accuracy.model_predictor(model)
        if path is None
        else accuracy.load_predictor(os.fspath(path), threads)
        for name, path in files.items()
    }
    return {
        name: accuracy.rank_labels_on(predictor, dataset, split, batch_size)
        for name, predictor in predictors.items()
    }


def _export(model, path, quantization, dataset):
    quantize = images = None
    if quantization != "none":
        quantize = quantization
        images = dataset.train.sample(
            CALIBRATION_IMAGES, model.input_shape[1], _CALIBRATION_SEED
        )
    keras_roots.export_tflite(model, path, quantize, images, **EXPORT)
