"""A process that times one network on TensorFlow, with a number of threads of its own.

TensorFlow fixes its threads when it starts, so that a comparison of thread counts needs
a process each. The commands come on standard input, one per line: how often to run the
network. The answers go to standard output, one JSON list of seconds per line.
"""

import json
import os
import sys
import time


def serve(kind: str, path: str, threads: int, shape: list[int]) -> None:
    """Answers commands until standard input ends.

    Args:
        kind: `"tensorflow"` for the signature of a SavedModel, `"keras"` for
            `predict_on_batch` of a Keras file.
        path: The SavedModel or Keras file.
        threads: Number of threads.
        shape: Shape of the batch of images.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    images = np.random.default_rng(0).integers(0, 256, shape)
    run = _LOADERS[kind](path, images)
    print(json.dumps([]), file=answers, flush=True)
    for command in sys.stdin:
        times = []
        for _ in range(int(command)):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), file=answers, flush=True)


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
    import keras

    import keras_roots  # noqa: F401  registers the layers

    model = keras.saving.load_model(path, compile=False)
    images = images.astype(model.inputs[0].dtype)
    return lambda: model.predict_on_batch(images)


_LOADERS = {"tensorflow": _saved_model, "keras": _keras}

if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]))
