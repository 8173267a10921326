"""The formats that networks are released in, and their files."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras

import keras_roots
from keras_roots.training import data
from keras_roots.utils import checks

# The quantisation of each format of LiteRT files.
_QUANTIZE = {"litert_float32": None, "litert_int8": "int8"}
LITERT_FORMATS = tuple(_QUANTIZE)
FORMATS = ("keras", *LITERT_FORMATS)
CALIBRATION_IMAGES = 500  # of the training split
# The same for every host, so that the figures of a file do not depend on where it was
# exported.
EXPORT = {"optimize": "latency"}
_CALIBRATION_SEED = 0


def export(
    model: keras.Model,
    dataset: data.Dataset,
    folder: str | os.PathLike,
    formats: Sequence[str] = FORMATS,
) -> dict[str, keras.Model | Path]:
    """Exports a network as it is released: with `EXPORT`, int8 by training images.

    Args:
        model: The network, which takes pixels 0 to 255.
        dataset: Where images to calibrate with come from.
        folder: Existing folder for the files, `NAME-FORMAT.tflite`.
        formats: Names of `FORMATS`.

    Returns:
        The file of each format; for `"keras"` the model itself.

    Raises:
        ValueError: A format is unknown, or a file does not agree with the network.
        OSError: The folder cannot be written.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    checks.choices("formats", formats, FORMATS)
    made = {}
    for name in formats:
        if name == "keras":
            made[name] = model
            continue
        made[name] = Path(folder, f"{model.name}-{name}.tflite")
        quantize, images = _QUANTIZE[name], None
        if quantize is not None:
            images = dataset.train.sample(
                CALIBRATION_IMAGES, model.input_shape[1], _CALIBRATION_SEED
            )
        keras_roots.export_tflite(model, made[name], quantize, images, **EXPORT)
    return made
