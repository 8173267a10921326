import importlib.metadata
import sys

import helpers
import keras
import pytest
import tensorflow as tf
from keras import layers

from keras_roots.benchmarking import other_runtimes, timers
from keras_roots.benchmarking.cases import Case
from keras_roots.benchmarking.comparison import compare
from keras_roots.export import flatbuffer
from keras_roots.export.saved_model import export_saved_model


def _measure(*cases, **arguments):
    arguments = {"warmup": 1, "runs": 2, "rounds": 1, **arguments}
    return compare({str(n): case for n, case in enumerate(cases)}, **arguments)


# A picture of 8 x 6, whose 3 x 3 convolution has 6 x 4 positions, and 17 numbers.
SEVERAL = 6 * 4 * 8 * 27 + 8 + 17 * 2 + 2


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"quantize": "int8", "optimize": "latency", "batch_size": 3},
        {"quantize": "dynamic"},
        pytest.param({"runtime": "tensorflow"}, marks=pytest.mark.slow),
        pytest.param({"runtime": "keras", "batch_size": 2}, marks=pytest.mark.slow),
        pytest.param({"runtime": "onnxruntime"}, marks=pytest.mark.slow),
        pytest.param({"runtime": "onnxruntime", "quantize": "int8"}),
        pytest.param({"runtime": "openvino"}, marks=pytest.mark.slow),
        pytest.param({"runtime": "openvino", "quantize": "int8"}),
    ],
    ids=str,
)
def test_networks_of_several_inputs(case, several, tmp_path):
    if case.get("runtime") in other_runtimes.RUNTIMES:
        for package in ("onnx", "tf2onnx", case["runtime"]):
            pytest.importorskip(package)
    path = tmp_path / "net.keras"
    several.save(path)
    networks = [several, str(path)]
    # Each imports TensorFlow in a process of its own: one as a model, one as a file.
    networks = {"tensorflow": networks[:1], "keras": networks[1:]}.get(
        case.get("runtime"), networks
    )
    for row in _measure(*(Case(network, **case) for network in networks)):
        assert row.median_ms > 0 and row.macs == SEVERAL


def test_files_of_several_inputs(several, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(flatbuffer.convert(several))
    export_saved_model(several, tmp_path / "net")
    saved = Case(str(tmp_path / "net"), "tensorflow", batch_size=2)
    for row in _measure(Case(path), saved, memory=True):
        assert row.median_ms > 0 and row.load_ms > 0
        assert row.macs is None


def test_a_litert_file_and_models_converted_to_one(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(flatbuffer.convert(helpers.grouped()))
    model_path = tmp_path / "net.keras"
    helpers.grouped().save(model_path)
    rows = compare(
        {
            "model": helpers.grouped(),
            "int8": Case(
                helpers.grouped(), quantize="int8", optimize="latency", batch_size=2
            ),
            "file": path,
            "keras": Case(model_path, threads=2),
        },
        warmup=1,
        runs=4,
        rounds=2,
    )
    model, int8, file, saved = rows
    assert all(0 < row.p10_ms <= row.median_ms <= row.p90_ms for row in rows)
    assert all(row.runs == 4 for row in rows)
    # 6x6 positions of 16 filters that see 3x3x4 weights, and 16 biases.
    assert model.macs == int8.macs == saved.macs == 36 * 16 * 36 + 16
    assert file.macs is None
    assert file.file_size == path.stat().st_size
    assert (int8.batch_size, saved.threads, int8.quantize) == (2, 2, "int8")


def _heavy():
    """A network with 4,000,000 weights and little else."""
    return keras.Sequential(
        [keras.Input((1, 1, 1000)), layers.Flatten(), layers.Dense(4000)], name="heavy"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")
def test_memory_and_load_time_of_litert():
    float32, int8 = compare(
        {"float32": _heavy(), "int8": Case(_heavy(), quantize="int8", batch_size=2)},
        warmup=1,
        runs=2,
        rounds=1,
        memory=True,
    )
    # At least the weights, of 4 bytes and 1, and at most twice: as read and as packed.
    assert 16 < float32.memory_mb < 45
    assert 4 < int8.memory_mb < 20
    for row in (float32, int8):
        # NumPy and LiteRT; TensorFlow takes hundreds of megabytes.
        assert row.memory_mb + 10 < row.peak_mb < 120
        assert row.load_ms > row.median_ms


@pytest.mark.parametrize("runtime", other_runtimes.RUNTIMES)
def test_runtimes_of_others_are_yardsticks(runtime, tmp_path):
    for package in ("onnx", "tf2onnx", runtime):
        pytest.importorskip(package)
    model_path = tmp_path / "net.keras"
    helpers.grouped().save(model_path)
    plain, int8, batch = compare(
        {
            "plain": Case(helpers.grouped(), runtime),
            "int8": Case(helpers.grouped(), runtime, quantize="int8"),
            "batch": Case(model_path, runtime, threads=2, batch_size=4),
        },
        warmup=1,
        runs=2,
        rounds=1,
        memory=True,
    )
    assert plain.macs == int8.macs == batch.macs == 36 * 16 * 36 + 16
    for row in (plain, int8, batch):
        assert row.runtime == runtime
        assert f"{runtime} {importlib.metadata.version(runtime)}" in row.versions
        assert 0 < row.median_ms < row.load_ms
        # At least the weights, 16 filters of 3x3x4, in float32 or int8.
        assert row.file_size > (1 if row.quantize else 4) * 16 * 36


@pytest.mark.slow
def test_tensorflow_runs_in_a_process_of_its_own():
    tensorflow, keras_ = compare(
        {
            "tensorflow": Case(helpers.grouped(), "tensorflow", threads=2),
            "keras": Case(helpers.grouped(), "keras", batch_size=3),
        },
        warmup=1,
        runs=2,
        rounds=1,
    )
    assert min(tensorflow.median_ms, keras_.median_ms) > 0
    assert tensorflow.file_size > 0 and keras_.file_size is None
    assert tensorflow.macs == keras_.macs > 0


def test_a_process_that_fails_says_why(tmp_path, monkeypatch):
    shapes = {"images": (8, 8, 3)}
    monkeypatch.setattr(timers, "_saved_model_shapes", lambda *about: shapes)
    (tmp_path / "saved_model.pb").write_bytes(b"broken")
    case = Case(tmp_path, "tensorflow")
    with pytest.raises(
        ValueError, match="for runtime='tensorflow', .* ended with status 1: "
    ):
        _measure(case)


def test_a_saved_model_must_be_one(tmp_path):
    case = Case(tmp_path, "tensorflow")
    with pytest.raises(ValueError, match="`target` must be the folder of a whole Save"):
        _measure(case)
    tf.saved_model.save(tf.Module(), tmp_path)
    with pytest.raises(ValueError, match="must be a SavedModel with a signature 'serv"):
        _measure(case)


def test_a_saved_model_that_writes_files_needs_trust(tmp_path):
    path, written = str(tmp_path / "saved"), tmp_path / "written"
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((None, 4))])
    def serve(x):
        tf.io.write_file(str(written), "text")
        return {"y": 2 * x}

    module.serve = serve
    tf.saved_model.save(module, path, serve)
    with pytest.raises(ValueError, match="`trust` must be True.* WriteFile"):
        _measure(Case(path, "tensorflow"))
    assert not written.exists()
    _measure(Case(path, "tensorflow", trust=True))
    assert written.exists()


def test_sides_that_a_saved_model_leaves_open_must_be_given(tmp_path):
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3)])
    model.export(tmp_path / "net", verbose=False)
    for given in (None, (6, 5, 1)):
        case = Case(tmp_path / "net", "tensorflow", input_shape=given)
        with pytest.raises(ValueError, match="`input_shape` must be given for the Sav"):
            _measure(case)


def test_sides_left_open_can_be_given():
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3)])
    (row,) = _measure(Case(model, input_shape=(6, 5, 3)))
    assert row.macs == 4 * 3 * 27 * 4 + 4


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="must be a LiteRT file.*net.tflite"):
        _measure(Case(path))
