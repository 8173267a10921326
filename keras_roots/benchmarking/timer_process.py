"""A process that runs one network, with a number of threads of its own.

TensorFlow fixes its threads when it starts, so that a comparison of thread counts needs
a process each; and only a process of its own tells what memory a network takes. It
imports the runtime alone: of this package nothing but what the runtime needs.

The answers go to standard output, one JSON text per line: first what loading took, as
milliseconds and megabytes, then a list of seconds for each command. The commands come
on standard input, one per line: how often to run the network.
"""

import importlib
import json
import os
import runpy
import sys
import time

import numpy as np

_CALLS = 3
_MEMORY = runpy.run_path(os.path.join(os.path.dirname(__file__), "memory.py"))


def serve(runtime: str, path: str, threads: int, shape: list[int]) -> None:
    """Loads a network, and answers commands until standard input ends.

    Args:
        runtime: A key of `RUNTIMES`.
        path: What the runtime loads.
        threads: Number of threads.
        shape: Shape of the batch of images.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module, load = RUNTIMES[runtime]
    importlib.import_module(module)
    images = np.random.default_rng(0).integers(0, 256, shape)
    run, taken = _measured(lambda: load(path, images, threads))
    print(json.dumps(taken), file=answers, flush=True)
    for command in sys.stdin:
        times = []
        for _ in range(int(command)):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), file=answers, flush=True)


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


def load_onnxruntime(path, images, threads):
    """Returns a function that runs an ONNX file on images and returns its outputs."""
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


def load_openvino(path, images, threads):
    """Returns a function that runs an OpenVINO file on images and returns its outputs.

    Whatever is not quantised is computed in float32, also where the CPU has bfloat16.
    """
    import openvino

    compiled = openvino.Core().compile_model(
        path,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "f32",
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
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        return load(path, images)

    return load_with_threads


# What each runtime imports, and how it loads a network.
RUNTIMES = {
    "litert": ("ai_edge_litert.interpreter", _litert),
    "onnxruntime": ("onnxruntime", load_onnxruntime),
    "openvino": ("openvino", load_openvino),
    "tensorflow": ("tensorflow", _on_tensorflow(_saved_model)),
    "keras": ("keras_roots", _on_tensorflow(_keras)),
}

if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]))
