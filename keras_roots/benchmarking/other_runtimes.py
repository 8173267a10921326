"""Files of a model for other runtimes, to measure LiteRT's speed against.

Each runtime gets what it runs fastest: one grouped convolution per layer, normalisation
folded, and channels before rows and columns in ONNX files.
"""

import contextlib
import copy
import importlib
import logging
import os
import tempfile
import types
from collections.abc import Iterator

import keras
import numpy as np

from keras_roots import export, graph
from keras_roots.benchmarking.loaders import LOADERS
from keras_roots.export import in_float32, write_saved_model

_NAMES = {"onnxruntime": "model.onnx", "openvino": "model.xml"}
RUNTIMES = tuple(_NAMES)
QUANTIZATIONS = (None, "int8")
_OPSET = 18
_TOLERANCE = 1e-3
_CALIBRATION_IMAGES = 4
_IMAGES = 4  # sides of a batch of them


def require(runtime: str) -> None:
    """Checks that this process can make files for a runtime.

    Args:
        runtime: `"onnxruntime"` or `"openvino"`.

    Raises:
        ImportError: The runtime, or what converts models for it, is not installed.
    """
    with _quiet():
        for module in ("onnx", "tf2onnx", runtime):
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise ImportError(
                    f"The runtime {runtime!r} needs the package {module!r}: "
                    "pip install 'keras_roots[bench]'"
                ) from error


def write(
    model: keras.Model, folder: str, runtime: str, quantize: str | None, batch_size: int
) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Writes what a runtime loads, and checks it against the model in float32.

    In int8, calibrated on random pixels, which its speed does not depend on, ONNX
    Runtime gets its own static quantisation, with unsigned activations and a scale for
    each filter. OpenVINO gets what LiteRT runs: its own tool, NNCF, leaves filter
    groups in float32.

    Args:
        model: A functional or Sequential model that takes inputs of fixed sizes.
        folder: An empty folder to write to.
        runtime: `"onnxruntime"` or `"openvino"`.
        quantize: `None` for float32, or `"int8"`.
        batch_size: Images per call.

    Returns:
        The path to load, and the shape of the batch of every input that it takes, by
        name.

    Raises:
        ExportError: The model cannot be converted, the runtime cannot run it, or the
            outputs differ from the model's by more than 1e-3 of their range.
    """
    model = in_float32(model)
    samples = export.random_samples(model)
    path = os.path.join(folder, _NAMES[runtime])
    try:
        if runtime == "openvino" and quantize:
            return path, _write_quantized_openvino(model, path, batch_size)
        converted = _to_onnx(model, batch_size)
        _check(model, converted, runtime, samples, batch_size)
        if quantize:
            _write_quantized_onnx(model, converted, path, samples, batch_size)
        else:
            _write(converted, path, runtime)
    except export.ExportError:
        raise
    except Exception as error:
        raise export.ExportError(
            f"The model {model.name!r} cannot be converted for {runtime}: "
            f"{str(error).strip()[:500]}"
        ) from error
    return path, {
        name: _channels_first((batch_size, *shape))
        for name, shape in export.input_shapes(model).items()
    }


def _to_onnx(model, batch_size):
    """Returns a model in ONNX, channels first."""
    import tensorflow as tf
    import tf2onnx

    with tempfile.TemporaryDirectory() as folder, _quiet():
        # The native operation is only traced: it need not run on this machine.
        write_saved_model(model, folder, "native", batch_size)
        loaded = tf.saved_model.load(folder)

        names = export.input_names(model)

        def compute(*tensors):
            inputs = dict(zip(names, tensors, strict=True))
            outputs = loaded.signatures["serving_default"](**inputs)
            return [outputs[name] for name in export.in_order(outputs)]

        specs = [
            tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype, name)
            for name, tensor in zip(names, model.inputs, strict=True)
        ]
        converted, _ = tf2onnx.convert.from_function(
            tf.function(compute, autograph=False),
            specs,
            opset=_OPSET,
            inputs_as_nchw=[
                f"{spec.name}:0" for spec in specs if len(spec.shape) == _IMAGES
            ],
        )
    # Constants that TensorFlow captured are still named as inputs, which nothing uses.
    captured = [each for each in converted.graph.input if each.name not in names]
    for tensor in captured:
        converted.graph.input.remove(tensor)
    return converted


def _write(converted, path, runtime):
    import onnx

    if runtime == "onnxruntime":
        onnx.save(converted, path)
        return
    import openvino

    network = openvino.Core().read_model(converted.SerializeToString())
    openvino.save_model(network, path, compress_to_fp16=False)


def _write_quantized_onnx(model, converted, path, samples, batch_size):
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    batches = iter(
        [
            _batch(model, samples, batch_size, start)
            for start in range(_CALIBRATION_IMAGES)
        ]
    )
    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, folded = (os.path.join(folder, name) for name in ("plain", "folded"))
        _write(converted, plain, "onnxruntime")
        shape_inference.quant_pre_process(plain, folded, skip_symbolic_shape=True)
        quantization.quantize_static(
            folded,
            path,
            types.SimpleNamespace(get_next=lambda: next(batches, None)),
            per_channel=True,
            # With signed ones ONNX Runtime takes more than twice as long on x86.
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


def _write_quantized_openvino(model, path, batch_size) -> dict[str, tuple[int, ...]]:
    """Writes what LiteRT runs, and returns the shapes of its inputs."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.tflite")
        export.write_for_timing(model, file, "int8", batch_size=batch_size)
        network = openvino.Core().read_model(file)
        openvino.save_model(network, path, compress_to_fp16=False)
        return {each.any_name: tuple(each.shape) for each in network.inputs}


def _check(model, converted, runtime, samples, batch_size):
    """Compares the outputs of a model and its conversion, before a softmax.

    After it, those of an untrained model tell little: they are all alike, or 0 but one.
    """
    model, converted = _without_softmax(model, converted)
    load = LOADERS[runtime].load
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, _NAMES[runtime])
        _write(converted, path, runtime)
        run = load(path, _batch(model, samples, batch_size), 1)
        agreement = export.compare_outputs(
            [output[:1] for output in run()],
            export.reference_outputs(model, samples.take(1)),
        )
    if agreement.relative_difference > _TOLERANCE:
        raise export.ExportError(
            f"`runtime` must compute what the model does, but {runtime} differs from "
            f"it by {agreement.relative_difference:.2g} of the output's range, more "
            f"than {_TOLERANCE:g}: choose another. Received: runtime={runtime!r}"
        )


def _without_softmax(model, converted):
    """Returns copies of a model and its conversion that do not end in a softmax."""
    converted = copy.deepcopy(converted)
    nodes = {name: node for node in converted.graph.node for name in node.output}
    ends = []
    for output, tensor in zip(model.outputs, converted.graph.output, strict=True):
        layer, node = output._keras_history.operation, nodes[tensor.name]
        activation = getattr(layer, "activation", None)
        if activation is keras.activations.softmax and node.op_type == "Softmax":
            node.op_type = "Identity"
            del node.attribute[:]
            ends.append(layer)

    def change(layer):
        return {"activation": "linear"} if layer in ends else None

    return graph.reconfigure(model, change), converted


def _batch(model, samples, batch_size, start=0) -> dict[str, np.ndarray]:
    """Returns samples as a batch by the names of the inputs, channels first."""
    rows = np.arange(start, start + batch_size) % len(samples)
    arrays = [
        np.transpose(array[rows], _channels_first(range(array.ndim)))
        for array in samples.arrays
    ]
    return export.by_name(model, list(map(np.ascontiguousarray, arrays)))


def _channels_first(sides) -> tuple[int, ...]:
    """Puts the channels of a batch of images second; other inputs are as they are."""
    batch, *others = sides
    return (batch, *np.roll(others, 1).tolist()) if len(sides) == _IMAGES else (*sides,)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps converters from telling of each of their steps."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)
