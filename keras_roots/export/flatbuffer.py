"""Contents of LiteRT files, FlatBuffers, as TensorFlow's converter makes them.

Nothing is checked here: `export_tflite` compares a file with its model.
"""

import contextlib
import os
import tempfile

import keras
import numpy as np

from keras_roots import utils
from keras_roots.convolutions import Samples
from keras_roots.export import conversion, signature
from keras_roots.export.agreement import ExportError
from keras_roots.export.saved_model import in_float32, write_saved_model

IO = ("float", "int8", "uint8")


def convert(
    model: keras.Model,
    *,
    quantize: str | None = None,
    calibration_images: np.ndarray | None = None,
    io: str = "float",
    batch_size: int = 1,
) -> bytes:
    """Returns the content of a LiteRT file, not checked yet.

    Args:
        model: As for `export_tflite`.
        quantize: As for `export_tflite`.
        calibration_images: Images for `quantize="int8"`, in any form of
            `convolutions.Samples`.
        io: As for `export_tflite`.
        batch_size: As for `export_tflite`.

    Raises:
        ExportError: TensorFlow's converter refuses the model, or crashes on it.
    """
    samples = calibration_images
    if samples is not None and not isinstance(samples, Samples):
        samples = Samples.of(model, samples, "calibration_images")
    arrays = None
    if quantize == "int8":
        arrays = {
            name: array.astype(tensor.dtype)
            for (name, array), tensor in zip(
                signature.by_name(model, samples.arrays).items(),
                model.inputs,
                strict=True,
            )
        }
    options = {"quantize": quantize, "io": io, "batch_size": batch_size}
    with tempfile.TemporaryDirectory() as folder:
        # The native operation is only traced: it need not run on this machine.
        write_saved_model(in_float32(model), folder, "native", batch_size)
        with _named_refusals(model.name):
            if quantize == "int8" and conversion.has_loops(folder):
                return _convert_apart(folder, arrays, options, model.name)
            return conversion.convert(folder, samples=arrays, **options)


def _convert_apart(folder, arrays, options, name) -> bytes:
    """Converts a SavedModel in a process of its own, which the converter may end."""
    output, samples = (os.path.join(folder, name) for name in ("file", "samples.npz"))
    np.savez(samples, **arrays)
    try:
        with utils.Worker(
            conversion.__file__,
            folder=folder,
            output=output,
            samples=samples,
            **options,
        ) as worker:
            refusal = worker.ready
    except utils.ProcessEndedError as error:
        if error.status > 0:
            raise
        raise ExportError(
            f"TensorFlow's converter crashes (signal {-error.status}) on the model "
            f"{name!r} with quantize={options['quantize']!r}: it has loops, as LSTM, "
            "GRU and SimpleRNN layers have. Build those layers with `unroll=True`, or "
            "export with quantize='dynamic' or None."
        ) from error
    if refusal is not None:
        raise RuntimeError(refusal)
    with open(output, "rb") as file:
        return file.read()


def run_converter(converter, name: str) -> bytes:
    """Returns the LiteRT file that a converter makes.

    Args:
        converter: A `tf.lite.TFLiteConverter`.
        name: Name of its model, for the message.

    Raises:
        ExportError: TensorFlow's converter refuses the model.
    """
    with _named_refusals(name):
        return conversion.run(converter)


@contextlib.contextmanager
def _named_refusals(name):
    try:
        yield
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"TensorFlow's converter refuses the model {name!r}: "
            f"{str(error).strip()[:500]}"
        ) from error
