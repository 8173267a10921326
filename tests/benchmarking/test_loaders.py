import dataclasses

import helpers
import numpy as np
import pytest

from keras_roots.benchmarking import loaders, other_runtimes
from keras_roots.benchmarking.cases import RUNTIMES
from keras_roots.benchmarking.loaders import use_threads
from keras_roots.benchmarking.timers import Load
from keras_roots.export import flatbuffer


def test_loading_is_measured_and_calls_are_timed(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(flatbuffer.convert(helpers.grouped()))
    ready, commands = loaders.start("litert", str(path), 1, {"images": [1, 8, 8, 16]})
    assert set(ready) == {field.name for field in dataclasses.fields(Load)}
    assert ready["load_ms"] > 0
    times = commands["time"](3)
    assert len(times) == 3 and min(times) > 0


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", [0, 3, 255]),
        ("uint8", [0, 3, 255]),
        ("int32", [0, 1, 1]),
        ("int64", [0, 1, 1]),
        ("bool", [False, True, True]),
    ],
)
def test_pixels_that_may_be_indices_stay_small(dtype, expected):
    found = loaders.cast(np.array([0, 3, 255]), dtype)
    assert found.dtype == dtype and found.tolist() == expected


def test_every_runtime_has_a_loader():
    assert set(loaders.LOADERS) == set(RUNTIMES)


def test_a_process_imports_the_runtime_alone(tmp_path, run_python):
    path = tmp_path / "net.tflite"
    path.write_bytes(flatbuffer.convert(helpers.grouped()))
    code = f"""
import runpy, sys
import numpy as np
process = runpy.run_path({loaders.__file__!r})
images = np.zeros((1, 8, 8, 16))
process["LOADERS"]["litert"].load({str(path)!r}, dict(images=images), 1)()
print([name for name in ("keras", "tensorflow", "keras_roots") if name in sys.modules])
"""
    assert run_python(code).strip().endswith("[]")


def _converted(runtime, folder):
    """Returns the path and the batch of a network's file for a runtime of others."""
    for package in ("onnx", "tf2onnx", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    path, shapes = other_runtimes.write(
        helpers.grouped(), str(folder), runtime, None, 1
    )
    return path, {name: np.zeros(shape) for name, shape in shapes.items()}


def test_onnxruntime_gets_its_threads(monkeypatch, tmp_path):
    path, images = _converted("onnxruntime", tmp_path)
    import onnxruntime

    given = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, path, options, **kwargs):
            given.append((options.intra_op_num_threads, options.inter_op_num_threads))
            super().__init__(path, options, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    loaders.LOADERS["onnxruntime"].load(path, images, 3)()
    assert given == [(3, 1)]


def test_openvino_gets_its_threads(monkeypatch, tmp_path):
    path, images = _converted("openvino", tmp_path)
    import openvino

    made = []

    class Core(openvino.Core):
        def compile_model(self, *arguments):
            made.append(super().compile_model(*arguments))
            return made[-1]

    monkeypatch.setattr(openvino, "Core", Core)
    loaders.LOADERS["openvino"].load(path, images, 2)()
    (network,) = made
    assert network.get_property("INFERENCE_NUM_THREADS") == 2
    assert network.get_property("NUM_STREAMS") == 1
    assert network.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


def test_threads_cannot_change_once_tensorflow_runs():
    import tensorflow as tf

    tf.constant(1.0) + 1.0
    used = tf.config.threading.get_intra_op_parallelism_threads()
    if used:  # 0 leaves them to TensorFlow
        use_threads(used)
    with pytest.raises(ValueError, match="start a new process.*threads=77"):
        use_threads(77)
