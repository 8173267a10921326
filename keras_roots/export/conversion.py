"""TensorFlow's converter to LiteRT, in this process or in one that may crash.

Where a network has loops (rolled LSTM, GRU and SimpleRNN layers), the converter ends
the whole process with a segmentation fault while it chooses int8 ranges. The process of
its own runs this file, as a script for `utils.Worker`; it imports nothing of this
package.
"""

import os
import warnings

import numpy as np

_LOOPS = ("While", "StatelessWhile")


def start(folder: str, output: str, samples: str | None, **options):
    """Converts a SavedModel and runs the file once, in a process of its own.

    Args:
        folder: The SavedModel.
        output: File to write.
        samples: An `.npz` file of arrays by name of input, `None` for none.
        **options: Other arguments of `convert`.

    Returns:
        What `Worker` expects: the converter's refusal, `None` if the file was written;
        and no commands.
    """
    arrays = None
    if samples is not None:
        with np.load(samples) as opened:
            arrays = dict(opened)
    try:
        content = convert(folder, samples=arrays, **options)
    except Exception as error:
        return str(error), {}
    with open(output, "wb") as file:
        file.write(content)
    _run_once(output)
    return None, {}


def convert(
    folder: str,
    *,
    quantize: str | None,
    io: str,
    batch_size: int,
    samples: dict[str, np.ndarray] | None,
) -> bytes:
    """Converts a SavedModel of one signature to a LiteRT file.

    Args:
        folder: The SavedModel.
        quantize: As for `export_tflite`.
        io: As for `export_tflite`.
        batch_size: Samples per call, as the SavedModel has it.
        samples: Arrays by name of input, in the model's types, for
            `quantize="int8"`.

    Raises:
        Exception: TensorFlow's converter refuses it; of any kind.
    """
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
        converter.representative_dataset = lambda: _batches(samples, batch_size)
    if io != "float":
        converter.inference_input_type = tf.as_dtype(io)
        converter.inference_output_type = tf.as_dtype(io)
    return run(converter)


def run(converter) -> bytes:
    """Returns the LiteRT file that a converter makes.

    TensorFlow warns of an interpreter of its own, with which it chooses int8 ranges.

    Args:
        converter: A `tf.lite.TFLiteConverter`.

    Raises:
        Exception: TensorFlow's converter refuses the model; of any kind.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is depre")
        return converter.convert()


def _batches(samples, batch_size):
    """Yields whole batches; samples from the start fill the last one."""
    count = len(next(iter(samples.values())))
    for first in range(0, count, batch_size):
        rows = np.arange(first, first + batch_size) % count
        yield {name: array[rows] for name, array in samples.items()}


def _run_once(path):
    """Runs a file, which may end the process as well."""
    from ai_edge_litert import interpreter

    model = interpreter.Interpreter(model_path=path)
    model.allocate_tensors()
    model.invoke()


def has_loops(folder: str) -> bool:
    """Tells whether a SavedModel has loops, by its operations.

    Args:
        folder: The SavedModel.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    with open(os.path.join(folder, "saved_model.pb"), "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    graph = saved.meta_graphs[0].graph_def
    bodies = [graph.node, *(each.node_def for each in graph.library.function)]
    return any(node.op in _LOOPS for body in bodies for node in body)
