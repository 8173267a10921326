"""How each runtime loads a network, and what that takes: a script for `worker`.

TensorFlow fixes its threads when it starts, so that a comparison of thread counts needs
a process each; and only a process of its own shows what memory a network takes. This
file imports the runtime alone: of this package nothing but what the runtime needs.
"""

import importlib
import numbers
import os
import runpy
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

_CALLS = 3
_MEMORY = runpy.run_path(os.path.join(os.path.dirname(__file__), "memory.py"))


class Loader(NamedTuple):
    """How a runtime loads a network.

    Attributes:
        module: What has to be imported; the time of that does not count.
        load: Function of a path, inputs by name and a number of threads. It returns a
            function that runs the network on them and, in runtimes that other files are
            checked in, returns its outputs.
    """

    module: str
    load: Callable[[str, dict[str, np.ndarray], int], Callable]


def start(runtime: str, path: str, threads: int, shapes: dict[str, list[int]]):
    """Loads a network and runs it a few times.

    Args:
        runtime: A key of `LOADERS`.
        path: What the runtime loads.
        threads: Number of threads.
        shapes: Shape of the batch of every input, by the names of the file; `keras`
            goes by the order alone.

    Returns:
        What that took, as `timers.Load` has it, and the command `"time"`: the seconds
        of each of so many calls.
    """
    module, load = LOADERS[runtime]
    importlib.import_module(module)
    inputs = {name: random_numbers(shape) for name, shape in shapes.items()}
    run, taken = _measured(lambda: load(path, inputs, threads))
    return taken, {"time": lambda count: [_seconds(run) for _ in range(count)]}


def random_numbers(shape: Sequence[int]) -> np.ndarray:
    """Returns random pixels, 0 to 255, to give a network by `cast`.

    Args:
        shape: Shape of a batch.
    """
    return np.random.default_rng(0).integers(0, 256, shape)


def cast(numbers: np.ndarray, dtype) -> np.ndarray:
    """Returns pixels in the type that a network takes.

    Args:
        numbers: The pixels.
        dtype: The type. Wide integers, which may be indices of a table, become 0 or 1.
    """
    dtype = np.dtype(dtype)
    if dtype.kind in "iu" and dtype.itemsize > 1:
        numbers = numbers % 2
    return numbers.astype(dtype)


def use_threads(threads: int) -> None:
    """Sets TensorFlow's number of threads in this process.

    Raises:
        ValueError: TensorFlow has started with another number, or it is no number.
    """
    import tensorflow as tf

    # Not by `checks`: a process that measures imports nothing of this package.
    whole = isinstance(threads, numbers.Integral) and not isinstance(threads, bool)
    if not whole or threads < 1:
        raise ValueError(
            f"`threads` must be an integer, 1 or more. Received: threads={threads!r}"
        )
    threads = int(threads)
    config = tf.config.threading
    try:
        config.set_intra_op_parallelism_threads(threads)
        config.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        if config.get_intra_op_parallelism_threads() != threads:
            raise ValueError(
                "`threads` can only be set before TensorFlow runs its first operation; "
                f"start a new process. Received: threads={threads}"
            ) from error


def _seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _measured(load):
    """Loads a network; returns what runs it, and what loading and running took."""
    before = _MEMORY["process_memory"]()
    _MEMORY["reset_peak"]()
    start = time.perf_counter()
    run = load()
    run()
    seconds = time.perf_counter() - start
    for _ in range(_CALLS - 1):
        run()
    after = _MEMORY["process_memory"]()
    memory = peak = None
    if after.peak is not None:
        memory = 1e-6 * (after.peak - (before.current or before.peak))
        peak = 1e-6 * max(before.peak, after.peak)
    return run, {"load_ms": 1e3 * seconds, "memory_mb": memory, "peak_mb": peak}


def _litert(path, inputs, threads):
    from ai_edge_litert import interpreter

    network = interpreter.Interpreter(path, num_threads=threads)
    found = {each["name"]: each for each in network.get_input_details()}
    if len(network.get_signature_list()) == 1:
        found = network.get_signature_runner().get_input_details()
    for name, values in inputs.items():
        if found[name]["shape"].tolist() != list(values.shape):
            index = found[name]["index"]
            network.resize_tensor_input(index, values.shape, strict=True)
    network.allocate_tensors()
    for name, values in inputs.items():
        network.set_tensor(found[name]["index"], cast(values, found[name]["dtype"]))
    return network.invoke


def _onnxruntime(path, inputs, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # Threads that wait for more work would take time from the network that runs next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    kinds = {
        each.name: each.type.removeprefix("tensor(").removesuffix(")")
        for each in session.get_inputs()
    }
    names = {"float": "float32", "double": "float64"}
    feed = {
        name: cast(inputs[name], names.get(kind, kind)) for name, kind in kinds.items()
    }
    return lambda: session.run(None, feed)


def _openvino(path, inputs, threads):
    import openvino

    compiled = openvino.Core().compile_model(
        path,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "f32",  # also where the CPU has bfloat16
            "CPU_DENORMALS_OPTIMIZATION": True,
        },
    )
    request = compiled.create_infer_request()
    for name, values in inputs.items():
        dtype = compiled.input(name).element_type.to_dtype()
        request.set_tensor(name, openvino.Tensor(cast(values, dtype)))

    def run():
        request.infer(share_outputs=True)
        return [tensor.data for tensor in request.output_tensors]

    return run


def _saved_model(path, inputs):
    import tensorflow as tf

    signature = tf.saved_model.load(path).signatures["serving_default"]
    given = {
        name: tf.constant(cast(inputs[name], spec.dtype.as_numpy_dtype))
        for name, spec in signature.structured_input_signature[1].items()
    }

    def run():
        # Copying the outputs waits for a device that runs on its own.
        for output in signature(**given).values():
            output.numpy()

    return run


def _keras(path, inputs):
    from keras_roots import export, utils

    model = utils.load_model(path)
    arrays = [
        cast(values, tensor.dtype)
        for values, tensor in zip(inputs.values(), model.inputs, strict=True)
    ]
    given = export.packed(model, arrays)
    return lambda: model.predict_on_batch(given)


def _on_tensorflow(load):
    def load_with_threads(path, inputs, threads):
        use_threads(threads)
        return load(path, inputs)

    return load_with_threads


LOADERS = {
    "litert": Loader("ai_edge_litert.interpreter", _litert),
    "onnxruntime": Loader("onnxruntime", _onnxruntime),
    "openvino": Loader("openvino", _openvino),
    "tensorflow": Loader("tensorflow", _on_tensorflow(_saved_model)),
    "keras": Loader("keras_roots", _on_tensorflow(_keras)),
}
