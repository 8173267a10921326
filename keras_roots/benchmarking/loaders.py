"""How each runtime loads a network, and what that takes: a script for `worker`.

TensorFlow fixes its threads when it starts, so that a comparison of thread counts needs
a process each; and only a process of its own shows what memory a network takes. This
file imports the runtime alone: of this package nothing but what the runtime needs.
"""

import importlib
import os
import runpy
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_CALLS = 3
_MEMORY = runpy.run_path(os.path.join(os.path.dirname(__file__), "memory.py"))


class Loader(NamedTuple):
    """How a runtime loads a network.

    Attributes:
        module: What has to be imported; the time of that does not count.
        load: Function of a path, images and a number of threads. It returns a function
            that runs the network on the images and, in runtimes that other files are
            checked in, returns its outputs.
    """

    module: str
    load: Callable[[str, np.ndarray, int], Callable]


def start(runtime: str, path: str, threads: int, shape: list[int]):
    """Loads a network and runs it a few times.

    Args:
        runtime: A key of `LOADERS`.
        path: What the runtime loads.
        threads: Number of threads.
        shape: Shape of the batch of images.

    Returns:
        What that took, as `timers.Load` has it, and the command `"time"`: the seconds
        of each of so many calls.
    """
    module, load = LOADERS[runtime]
    importlib.import_module(module)
    images = np.random.default_rng(0).integers(0, 256, shape)
    run, taken = _measured(lambda: load(path, images, threads))
    return taken, {"time": lambda count: [_seconds(run) for _ in range(count)]}


def use_threads(threads: int) -> None:
    """Sets TensorFlow's number of threads in this process.

    Raises:
        ValueError: TensorFlow has started with another number, or it is no number.
    """
    import tensorflow as tf

    if not isinstance(threads, int) or threads < 1:
        raise ValueError(
            f"`threads` must be an integer, 1 or more. Received: threads={threads!r}"
        )
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


def _litert(path, images, threads):
    from ai_edge_litert import interpreter

    network = interpreter.Interpreter(path, num_threads=threads)
    (image,) = network.get_input_details()
    if image["shape"].tolist() != list(images.shape):
        network.resize_tensor_input(image["index"], images.shape, strict=True)
    network.allocate_tensors()
    network.set_tensor(image["index"], images.astype(image["dtype"]))
    return network.invoke


def _onnxruntime(path, images, threads):
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
    (image,) = session.get_inputs()
    kind = image.type.removeprefix("tensor(").removesuffix(")")
    feed = {image.name: images.astype({"float": "float32"}.get(kind, kind))}
    return lambda: session.run(None, feed)


def _openvino(path, images, threads):
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
    dtype = compiled.input(0).element_type.to_dtype()
    request.set_input_tensor(openvino.Tensor(images.astype(dtype)))

    def run():
        request.infer(share_outputs=True)
        return [tensor.data for tensor in request.output_tensors]

    return run


def _saved_model(path, images):
    import tensorflow as tf

    signature = tf.saved_model.load(path).signatures["serving_default"]
    ((name, spec),) = signature.structured_input_signature[1].items()
    inputs = {name: tf.constant(images, spec.dtype)}

    def run():
        # Copying the outputs waits for a device that runs on its own.
        for output in signature(**inputs).values():
            output.numpy()

    return run


def _keras(path, images):
    from keras_roots.utils import load_model

    model = load_model(path)
    images = images.astype(model.inputs[0].dtype)
    return lambda: model.predict_on_batch(images)


def _on_tensorflow(load):
    def load_with_threads(path, images, threads):
        use_threads(threads)
        return load(path, images)

    return load_with_threads


LOADERS = {
    "litert": Loader("ai_edge_litert.interpreter", _litert),
    "onnxruntime": Loader("onnxruntime", _onnxruntime),
    "openvino": Loader("openvino", _openvino),
    "tensorflow": Loader("tensorflow", _on_tensorflow(_saved_model)),
    "keras": Loader("keras_roots", _on_tensorflow(_keras)),
}
