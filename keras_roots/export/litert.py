"""Exporting a model to a LiteRT (TensorFlow Lite) file."""

import dataclasses
import os
import tempfile
from collections.abc import Sequence

import keras
import numpy as np

from keras_roots import utils
from keras_roots.convolutions import MeasuredTimes
from keras_roots.export import check, images, rewrites, runner
from keras_roots.export.saved_model import in_float32, write_saved_model
from keras_roots.utils import checks

# Quantisation: (tolerance on the relative difference, arithmetic that rewrites go by).
QUANTIZATIONS = {
    None: (1e-3, "float32"),
    "float16": (1e-2, "float32"),
    "dynamic": (None, "dynamic"),
    "int8": (None, "int8"),
}
IO = ("float", "int8", "uint8")
_TIMING_IMAGES = 4


@dataclasses.dataclass(frozen=True)
class TFLiteReport(check.ExportReport):
    """What `export_tflite` wrote; prints as a table.

    Attributes:
        quantize: Argument of `export_tflite`.
        io: Type of the file's input and output.
        operations: How often each operation occurs.
        undelegated: Those that XNNPACK, the CPU delegate, did not take; they run
            on slower kernels.
        float_operations: Those that compute in floating point.
        changes: What was rewritten: by rewrite and layer, what replaced the layer.
        Each of the three counts is `None` if this version of LiteRT does not tell.
    """

    quantize: str | None
    io: str
    operations: dict[str, int] | None
    undelegated: dict[str, int] | None
    float_operations: dict[str, int] | None
    changes: dict[str, dict[str, str]]

    def lines(self) -> list[tuple[str, str]]:
        """Returns what `print` shows, as names and values."""
        lines = [
            ("quantisation", f"{self.quantize or 'none'}, {self.io} input and output"),
            *super().lines(),
            ("operations", _counts(self.operations)),
            ("not on the CPU delegate", _counts(self.undelegated)),
        ]
        if self.quantize == "int8":
            lines.append(("not quantised", _counts(self.float_operations)))
        lines += [(name, _layers(layers)) for name, layers in self.changes.items()]
        return lines

    __str__ = check.Agreement.__str__


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    quantize: str | None = None,
    calibration_data=None,
    *,
    check_data=None,
    io: str = "float",
    batch_size: int = 1,
    optimize: str | Sequence[str] | None = None,
    target: str = "avx512",
    latency_table: str | os.PathLike | MeasuredTimes | None = None,
    min_agreement: float | None = None,
) -> TFLiteReport:
    """Writes a model as a LiteRT file, and checks the file against the model.

    Every convolution with filter groups becomes one grouped CONV_2D; layers in mixed
    precision compute in float32 (and so does the model for the comparison). The file is
    written under a temporary name, loaded back, run with XNNPACK and compared with the
    model; only then is it moved into place, so that an export that fails leaves nothing
    behind.

    Args:
        model: A functional or Sequential model that takes images of a fixed size.
        path: File to write, `.tflite` by custom.
        quantize: `None` for float32, `"float16"` for float16 weights, `"dynamic"` for
            int8 weights, `"int8"` for int8 weights and activations.
        calibration_data: Images that the model is made for, `(n, height, width,
            channels)`, or an iterable of batches of them, with labels or without. They
            set the ranges of int8 activations: a hundred or more, all classes among
            them. At most 1000 are used.
        check_data: Images to compare on, likewise; by default `calibration_data`, else
            random pixels.
        io: `"float"`, or for `quantize="int8"` also `"int8"` or `"uint8"`: type of the
            file's input and output.
        batch_size: Images per call of the file, which LiteRT fixes.
        optimize: Rewrites of the model that keep its outputs up to rounding:
            `"latency"` for those that make it faster on the target, or names:
            `"drop_auxiliary_heads"`, `"merge_projections"`, `"merge_normalization"`,
            `"widen_stem"`, `"convolve_average_pools"`, `"pack_groups"`.
        target: Processor that the file is for: `"avx512"`, `"avx2"` or `"neon"` (Arm).
        latency_table: Times measured on that processor, as for `pack_groups`.
        min_agreement: Smallest part, 0 to 1, of the images on which the file must name
            the model's top-1 class.

    Returns:
        A `TFLiteReport`: differences from the model, top-1 agreement, file size,
        operations and those that run on no fast kernel. It prints as a table.

    Raises:
        ValueError: An argument is impossible; images have the wrong shape or range;
            the file disagrees with the model: by more than 1e-3 of the output's range
            in float32, 1e-2 in float16, by less than `min_agreement`, or with NaN or
            constant outputs (an `ExportError`); Keras runs on another backend.
        OSError: The file cannot be written.
        ImportError: TensorFlow or ai-edge-litert is not installed.

    Example:
        >>> report = export_tflite(model, "net.tflite", "int8", calibration_data=images)
        >>> print(report)
    """
    _check_arguments(quantize, io, batch_size, min_agreement, calibration_data)
    check.require_tensorflow()
    runner.require_litert()
    images.image_shape(model)
    if calibration_data is not None:
        calibration_data = images.as_images(calibration_data, model, "calibration_data")
    if check_data is not None:
        check_data = images.as_images(check_data, model, "check_data")
    elif calibration_data is not None:
        check_data = calibration_data
    else:
        check_data = images.random_images(model)
    tolerance, dtype = QUANTIZATIONS[quantize]
    rewritten, changes = rewrites.rewrite(model, optimize, dtype, target, latency_table)
    reference = model
    if "drop_auxiliary_heads" in changes:
        reference, _ = rewrites.drop_auxiliary_heads(model)
    with utils.replacing(path) as temporary:
        content = convert(
            rewritten,
            quantize=quantize,
            calibration_images=calibration_data,
            io=io,
            batch_size=batch_size,
        )
        with open(temporary, "wb") as file:
            file.write(content)
        exported = runner.LiteRTModel(temporary)
        agreement = check.compare(
            exported.predict(check_data),
            check.reference_outputs(in_float32(reference), check_data),
            tolerance=tolerance,
            min_agreement=min_agreement,
        )
    return TFLiteReport(
        **dataclasses.asdict(agreement),
        path=os.fspath(path),
        file_size=utils.file_size(path),
        quantize=quantize,
        io=io,
        operations=exported.operations(),
        undelegated=exported.undelegated(),
        float_operations=exported.float_operations(),
        changes=changes,
    )


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
        calibration_images: Images for `quantize="int8"`.
        io: As for `export_tflite`.
        batch_size: As for `export_tflite`.

    Raises:
        ExportError: TensorFlow's converter refuses the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        # The native operation is only traced: it need not run on this machine.
        write_saved_model(in_float32(model), folder, "native", batch_size)
        converter = _converter(folder, quantize, io)
        if quantize == "int8":
            dtype = model.inputs[0].dtype
            batches = _full_batches(calibration_images.astype(dtype), batch_size)
            converter.representative_dataset = lambda: ([batch] for batch in batches)
        return run_converter(converter, model.name)


def run_converter(converter, name: str) -> bytes:
    """Returns the LiteRT file that a converter makes.

    Args:
        converter: A `tf.lite.TFLiteConverter`.
        name: Name of its model, for the message.

    Raises:
        ExportError: TensorFlow's converter refuses the model.
    """
    try:
        return converter.convert()
    except Exception as error:
        raise check.ExportError(
            f"TensorFlow's converter refuses the model {name!r}: "
            f"{str(error).strip()[:500]}"
        ) from error


def write_for_timing(
    model: keras.Model,
    path: str | os.PathLike,
    quantize: str | None = None,
    optimize: str | Sequence[str] | None = None,
    batch_size: int = 1,
) -> None:
    """Writes a LiteRT file that is as fast as an exported one, and is not checked.

    It is calibrated on random pixels, which make no difference to its speed.

    Args:
        model: As for `export_tflite`.
        path: File to write.
        quantize: As for `export_tflite`.
        optimize: As for `export_tflite`.
        batch_size: As for `export_tflite`.
    """
    content = convert(
        rewrites.rewrite(model, optimize, QUANTIZATIONS[quantize][1])[0],
        quantize=quantize,
        calibration_images=images.random_images(model, _TIMING_IMAGES),
        batch_size=batch_size,
    )
    with open(path, "wb") as file:
        file.write(content)


def _converter(folder, quantize, io):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        # What has no int8 kernel stays in floating point; the report lists it.
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
    if io != "float":
        converter.inference_input_type = tf.as_dtype(io)
        converter.inference_output_type = tf.as_dtype(io)
    return converter


def _full_batches(array, batch_size) -> list[np.ndarray]:
    """Splits images into whole batches; images from the start fill the last one."""
    missing = -len(array) % batch_size
    filled = np.concatenate([array, np.resize(array, (missing, *array.shape[1:]))])
    return np.split(filled, len(filled) // batch_size)


def _check_arguments(quantize, io, batch_size, min_agreement, calibration_data):
    checks.choice("quantize", quantize, QUANTIZATIONS)
    if io not in IO or (io != "float" and quantize != "int8"):
        raise ValueError(
            "`io` must be 'float', or with quantize='int8' also 'int8' or 'uint8'. "
            f"Received: io={io!r}, quantize={quantize!r}"
        )
    checks.integer("batch_size", batch_size)
    if min_agreement is not None:
        checks.part("min_agreement", min_agreement, zero=True, one=True)
    if quantize == "int8" and calibration_data is None:
        raise ValueError(
            "`calibration_data` must be given for quantize='int8': a hundred or more "
            "images of the kind that the model will see. "
            "Received: calibration_data=None"
        )


def _layers(changes) -> str:
    return ", ".join(f"{layer}: {change}" for layer, change in changes.items())


def _counts(histogram) -> str:
    if histogram is None:
        return "unknown to this version of LiteRT"
    return ", ".join(f"{count} {name}" for name, count in histogram.items()) or "none"
