"""Exporting a model to a LiteRT (TensorFlow Lite) file."""

import dataclasses
import os
from collections.abc import Sequence

import keras

from keras_roots import utils
from keras_roots.convolutions import MeasuredTimes
from keras_roots.export import check, images, rewrites, runner, signature, targets
from keras_roots.export.agreement import Agreement, ExportError, measure
from keras_roots.export.flatbuffer import IO, convert
from keras_roots.export.saved_model import in_float32
from keras_roots.utils import checks

# Quantisation: (tolerance on the relative difference, arithmetic that rewrites go by).
QUANTIZATIONS = {
    None: (1e-3, "float32"),
    "float16": (1e-2, "float32"),
    "dynamic": (None, "dynamic"),
    "int8": (None, "int8"),
}
_TIMING_IMAGES = 4
_EXACT = 1e-3  # of an output's range: what rounding in float32 may cost rewrites
_EXACT_IMAGES = 32


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

    __str__ = Agreement.__str__


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
    target: str = targets.HOST,
    latency_table: str | os.PathLike | MeasuredTimes | None = None,
    tolerance: float | None = None,
    max_error: float | None = None,
    min_agreement: float | None = None,
) -> TFLiteReport:
    """Writes a model as a LiteRT file, and checks the file against the model.

    Every convolution with filter groups becomes one grouped CONV_2D; layers in mixed
    precision compute in float32 (and so does the model for the comparison). The file is
    written under a temporary name, loaded back, run with XNNPACK and compared with the
    model; only then is it moved into place, so that an export that fails leaves nothing
    behind.

    Args:
        model: A functional or Sequential model with inputs of a fixed size. Inputs and
            outputs have names in the file: `images` for the only input, else those of
            `keras.Input`; `output_0`, `output_1`, ... or the keys of a dictionary,
            with a slash before what structures within it add (`pyramid/0`).
        path: File to write, `.tflite` by custom.
        quantize: `None` for float32, `"float16"` for float16 weights, `"dynamic"` for
            int8 weights, `"int8"` for int8 weights and activations.
        calibration_data: Images that the model is made for, `(n, height, width,
            channels)`, or an iterable of batches of them, with labels or without; for
            several inputs, a tuple of arrays in their order or a dictionary by name.
            They set the ranges of int8 activations: a hundred or more, all classes
            among them. At most 1000 are read from an iterable.
        check_data: Images to compare on, likewise; by default `calibration_data`, else
            random pixels.
        io: `"float"`, or for `quantize="int8"` also `"int8"` or `"uint8"`: type of the
            file's input and output.
        batch_size: Images per call of the file, which LiteRT fixes.
        optimize: Rewrites of the model that keep its outputs up to rounding:
            `"latency"` for those that make it faster on the target, or names:
            `"drop_auxiliary_heads"`, `"merge_projections"`, `"merge_normalization"`,
            `"convolve_transposed"`, `"widen_stem"`, `"convolve_average_pools"`,
            `"pack_groups"`.
        target: Instruction set that `optimize` is for: `"host"`, this machine's, or
            one of `export.TARGETS`: `"amx"`, `"avx512-vnni"`, `"avx512"`, `"avx-vnni"`,
            `"avx2"`, `"neon-i8mm"`, `"neon-dot"`, `"neon"`. The file runs anywhere.
        latency_table: Times measured on that processor, as for `pack_groups`.
        tolerance: Largest difference from the model allowed, as a part of the range of
            the output. By default 1e-3 in float32 and 1e-2 in float16; with int8
            weights, any.
        max_error: Largest relative squared error of an output allowed: the sum of
            squared differences over the sum of squares of the model's output. By
            default a file with int8 weights may have 0.9, where zeros have 1, since
            untrained networks lose much; it is warned of above 0.05, unless it differs
            by no more than a step of int8 in the output's range (1/255), or names the
            top-1 class for 90 % of the images where the output is class probabilities.
        min_agreement: Smallest part, 0 to 1, of the images on which the file must name
            the model's top-1 class. With it, `max_error` or `tolerance`, the default of
            `max_error` is off.

    Returns:
        A `TFLiteReport`: differences from the model, top-1 agreement, file size,
        operations and those that run on no fast kernel. It prints as a table.

    Raises:
        ValueError: An argument is impossible; images have the wrong shape; a rewrite
            changes the model's outputs by more than 1e-3 of their range; the file
            disagrees with the model: by more than `tolerance` or `max_error`, less than
            `min_agreement`, with NaN, or with the same output for all images where the
            model's differ (an `ExportError`); Keras runs on another backend.
        OSError: The file cannot be written.
        ImportError: TensorFlow or ai-edge-litert is not installed.

    Example:
        >>> report = export_tflite(model, "net.tflite", "int8", calibration_data=images)
        >>> print(report)
    """
    path = checks.path("path", path, required=True)
    _check_arguments(quantize, io, batch_size, calibration_data)
    check.check_limits(tolerance, max_error, min_agreement)
    check.require_tensorflow()
    runner.require_litert()
    images.check_sizes(model)
    names = signature.input_names(model)
    default, dtype = QUANTIZATIONS[quantize]
    wanted = rewrites.names(optimize, dtype)
    if not isinstance(latency_table, MeasuredTimes):
        checks.path("latency_table", latency_table)
    if "pack_groups" not in wanted:
        checks.unused("latency_table", latency_table, "optimize='pack_groups'")
    if calibration_data is not None:
        calibration_data = images.as_samples(
            calibration_data, model, "calibration_data"
        )
    if check_data is not None:
        check_data = images.as_samples(check_data, model, "check_data")
    elif calibration_data is not None:
        check_data = calibration_data
    else:
        check_data = images.random_samples(model)
    rewritten, changes = rewrites.rewrite(model, optimize, dtype, target, latency_table)
    reference = model
    if "drop_auxiliary_heads" in changes:
        reference, _ = rewrites.drop_auxiliary_heads(model)
    reference = in_float32(reference)
    if changes:
        _check_rewrites(rewritten, reference, check_data.take(_EXACT_IMAGES), changes)
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
        exported = _loaded(temporary, model.name)
        agreement = check.compare(
            exported.predict(dict(zip(names, check_data.arrays, strict=True))),
            check.reference_outputs(reference, check_data),
            tolerance=tolerance,
            max_error=max_error,
            min_agreement=min_agreement,
            default=default,
            quantized=default is None,
        )
    return TFLiteReport(
        **dataclasses.asdict(agreement),
        path=path,
        file_size=utils.file_size(path),
        quantize=quantize,
        io=io,
        operations=exported.operations(),
        undelegated=exported.undelegated(),
        float_operations=exported.float_operations(),
        changes=changes,
    )


def _loaded(path, name) -> runner.LiteRTModel:
    try:
        return runner.LiteRTModel(path)
    except ValueError as error:
        raise ExportError(
            f"LiteRT cannot run the file of the model {name!r}: {error.__cause__}"
        ) from error


def _check_rewrites(rewritten, reference, samples, changes):
    """Checks that rewrites keep what a model computes, before any quantisation.

    Raises:
        ExportError: They do not.
    """
    agreement = measure(
        check.reference_outputs(in_float32(rewritten), samples),
        check.reference_outputs(reference, samples),
    )
    if agreement.relative_difference > _EXACT:
        raise ExportError(
            f"`optimize` must keep the model's outputs, but {', '.join(changes)} "
            f"changed them by {agreement.relative_difference:.2g} of their range: "
            f"leave that out, and please report it. Received: model={reference.name!r}"
        )


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

    Raises:
        ValueError: An argument is impossible.
    """
    path = checks.path("path", path, required=True)
    checks.choice("quantize", quantize, QUANTIZATIONS)
    batch_size = checks.integer("batch_size", batch_size)
    content = convert(
        rewrites.rewrite(model, optimize, QUANTIZATIONS[quantize][1])[0],
        quantize=quantize,
        calibration_images=images.random_samples(model, _TIMING_IMAGES),
        batch_size=batch_size,
    )
    with open(path, "wb") as file:
        file.write(content)


def _check_arguments(quantize, io, batch_size, calibration_data):
    checks.choice("quantize", quantize, QUANTIZATIONS)
    if io not in IO or (io != "float" and quantize != "int8"):
        raise ValueError(
            "`io` must be 'float', or with quantize='int8' also 'int8' or 'uint8'. "
            f"Received: io={io!r}, quantize={quantize!r}"
        )
    checks.integer("batch_size", batch_size)
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
