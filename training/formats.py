"""One network in every format that its accuracy is released for."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np

import keras_roots
from keras_roots.training import data, evaluation

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


@contextlib.contextmanager
def exported(
    model: keras.Model,
    dataset: data.Dataset,
    formats: Sequence[str] = tuple(FORMATS),
    folder: str | os.PathLike | None = None,
) -> Iterator[dict[str, Path | None]]:
    """Exports a network as it is released: with `EXPORT`, int8 by training images.

    Args:
        model: The network, which takes pixels 0 to 255.
        dataset: Where images to calibrate with come from.
        formats: Keys of `FORMATS`.
        folder: Folder for the files; `None` for one that is removed at the end.

    Yields:
        The file of each format; `None` for that of the Keras model.

    Raises:
        ValueError: A format is unknown, or the file does not agree with the network.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(f"`formats` must be of {list(FORMATS)}. Received: {unknown}")
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        files = {}
        for name in formats:
            files[name] = None
            if FORMATS[name] is not None:
                files[name] = Path(folder, f"{model.name}-{name}.tflite")
                _export(model, files[name], FORMATS[name], dataset)
        yield files


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
        files: Its files, as from `exported`.
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
        name: evaluation.model_predictor(model)
        if path is None
        else evaluation.load_predictor(os.fspath(path), threads)
        for name, path in files.items()
    }
    return {
        name: evaluation.rank_labels_on(predictor, dataset, split, batch_size)
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
