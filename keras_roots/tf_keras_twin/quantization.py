"""Quantisation-aware training, and the int8 LiteRT file that comes from it."""

import contextlib
import dataclasses
import os
import tempfile

import keras

from keras_roots import export, utils
from keras_roots.export import TFLiteReport
from keras_roots.tf_keras_twin.requirements import require_tfmot
from keras_roots.utils import checks


def quantizable(
    model: keras.Model, calibration_data, *, per_filter: bool = True, ranges=None
):
    """Returns a model's twin that computes in training what int8 will compute.

    Kernels are rounded to 8 bits with a scale per filter, activations to 8 bits with a
    range that follows the batches; gradients pass through. What LiteRT fuses is rounded
    once: a convolution, the BatchNormalization after it and a ReLU. The normalisation
    of the input, and a BatchNormalization without a convolution before it, become
    depthwise convolutions, which they are in the file.

    Ranges start from images, as those of `export_tflite(model, path, "int8")` do, so
    that training starts where that ends.

    Args:
        model: A model that `to_tf_keras` takes, of images of a fixed size. It stays
            as it is.
        calibration_data: Images that the model is made for, or batches of them.
        per_filter: Whether each filter has a scale of its own. With one for the whole
            kernel, up to BatchNormalization, weights that are equal stay equal in the
            file, which compresses better after clustering.
        ranges: A twin from quantisation-aware training, whose ranges of activations
            replace the recorded ones where layers have the same names. With the weights
            that came back from it, the model may be rewritten before it is exported.

    Returns:
        A `tf_keras.Model` to compile and fit, then to write with `export_int8`;
        `from_tf_keras` takes it as it is.

    Raises:
        ValueError: `to_tf_keras` refuses the model, or the images do not fit.
        ImportError: tensorflow-model-optimization is not installed.

    Example:
        >>> aware = quantizable(model, images[:200])
        >>> aware.compile("sgd", "sparse_categorical_crossentropy")
        >>> aware.fit(images, labels)
        >>> print(export_int8(aware, "net.tflite", images[:200]))
    """
    require_tfmot()
    from keras_roots.tf_keras_twin import quantized_builder

    calibration_data = export.as_images(calibration_data, model, "calibration_data")
    twin = quantized_builder.build(model, per_filter)
    with _changed(quantized_builder.quantizers(twin), "recording", True):
        export.reference_outputs(twin, calibration_data)
    if ranges is not None:
        trained = quantized_builder.ranges(ranges)
        for name, ends in quantized_builder.ranges(twin).items():
            for end, variable in ends.items():
                variable.assign(trained.get(name, ends)[end])
    return twin


def export_int8(
    model,
    path: str | os.PathLike,
    check_data,
    *,
    batch_size: int = 1,
    tolerance: float | None = None,
    max_error: float | None = None,
    min_agreement: float | None = None,
) -> TFLiteReport:
    """Writes a model from quantisation-aware training as an int8 LiteRT file.

    Its input and output are float32. The file is loaded back, run with XNNPACK and
    compared with the model; only then is it moved into place.

    Args:
        model: A `tf_keras.Model` made by `quantizable`.
        path: File to write, `.tflite` by custom.
        check_data: Images to compare on, or batches of them.
        batch_size: Images per call of the file, which LiteRT fixes.
        tolerance: As for `export_tflite`, like the next two: largest difference from
            the model allowed, as a part of the range of the output.
        max_error: Largest relative squared error of an output allowed.
        min_agreement: Smallest part, 0 to 1, of the images on which the file must name
            the model's top-1 class.

    Returns:
        A `TFLiteReport`: differences from the model, which rounds as the file does,
        top-1 agreement, file size and operations. It prints as a table.

    Raises:
        ValueError: The images do not fit, or the file disagrees with the model (an
            `ExportError`).
        OSError: The file cannot be written.
        ImportError: tensorflow-model-optimization or ai-edge-litert is not installed.
    """
    checks.integer("batch_size", batch_size)
    export.check_limits(tolerance, max_error, min_agreement)
    require_tfmot()
    export.require_litert()
    check_data = export.as_images(check_data, _like(model), "check_data")
    with utils.replacing(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(_convert(model, batch_size))
        exported = export.LiteRTModel(temporary)
        agreement = export.compare_outputs(
            exported.predict(check_data),
            export.reference_outputs(model, check_data),
            tolerance=tolerance,
            max_error=max_error,
            min_agreement=min_agreement,
            quantized=True,
        )
    return TFLiteReport(
        **dataclasses.asdict(agreement),
        path=os.fspath(path),
        file_size=utils.file_size(path),
        quantize="int8",
        io="float",
        operations=exported.operations(),
        undelegated=exported.undelegated(),
        float_operations=exported.float_operations(),
        changes={},
    )


def _like(twin) -> keras.Model:
    """Returns a Keras model that takes what a twin takes."""
    images = keras.Input(export.image_shape(twin))
    return keras.Model(images, images)


def _convert(model, batch_size) -> bytes:
    import tensorflow as tf

    from keras_roots.tf_keras_twin import quantized_builder

    shape = (batch_size, *export.image_shape(model))
    signature = tf.TensorSpec(shape, model.inputs[0].dtype, "images")
    saved = tf.Module()
    saved.weights = model.weights
    saved.serve = tf.function(
        lambda batch: model(batch, training=False), [signature], autograph=False
    )
    with tempfile.TemporaryDirectory() as folder:
        # The native operation is only traced: it need not run on this machine.
        with _changed(quantized_builder.grouped(model), "lowering", "native"):
            tf.saved_model.save(saved, folder, saved.serve)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return export.run_converter(converter, model.name)


@contextlib.contextmanager
def _changed(objects, attribute, value):
    """Sets an attribute of objects within a block."""
    before = [getattr(item, attribute) for item in objects]
    for item in objects:
        setattr(item, attribute, value)
    try:
        yield
    finally:
        for item, old in zip(objects, before, strict=True):
            setattr(item, attribute, old)
