import csv
import dataclasses
import importlib.metadata
import itertools
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.benchmarking import other_runtimes, timer_process, timers
from keras_roots.benchmarking.comparison import (
    Case,
    benchmark,
    compare,
    processor,
    table,
    write_csv,
)
from keras_roots.benchmarking.runtime_process import Load
from keras_roots.export import litert
from keras_roots.layers.grouped_conv2d import GroupedConv2D


def _network(name="network", groups=4):
    return keras.Sequential(
        [
            keras.Input((8, 8, 16)),
            GroupedConv2D(16, 3, groups=groups),
            layers.Flatten(),
        ],
        name=name,
    )


@pytest.fixture
def clock(monkeypatch):
    """Timers that take given times and note who ran when, in place of the real ones."""
    ran = []

    class Timer:
        macs, file_size, undelegated = 123, 456, {"SOFTMAX": 2}

        def __init__(self, case, stack):
            self.name, self.seconds = (
                case.target.name,
                itertools.cycle(SECONDS[case.target.name]),
            )
            stack.callback(ran.append, f"close {self.name}")

        def time(self, count):
            ran.append((self.name, count))
            if count in (1, 7):  # waking up, warming up
                return np.zeros(count)
            return np.full(count, next(self.seconds))

        def load(self):
            ran.append(f"load {self.name}")
            return next(LOADS[self.name])

    monkeypatch.setattr(timers, "make_timer", Timer)
    return ran


# Seconds of each turn. The machine is twice as slow in the second one.
SECONDS = {"a": [1.0, 2.0, 1.0], "b": [0.5, 1.0, 0.8]}
# The second time to load "a" is slow; the system does not tell of the memory of "b".
LOADS = {
    "a": itertools.cycle([Load(20.5, 7.5, 40), Load(90, 8.5, 41), Load(21.5, 9.5, 42)]),
    "b": itertools.cycle([Load(3, None, None)]),
}


def test_networks_take_turns(clock):
    compare({"a": _network("a"), "b": _network("b")}, warmup=7, runs=6, rounds=3)
    turn = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    closed = ["close b", "close a"]
    assert clock == [("a", 7), ("b", 7), *turn, *turn, *turn, *closed]


def test_ratios_compare_within_a_turn(clock):
    a, b = compare({"a": _network("a"), "b": _network("b")}, warmup=7, runs=5, rounds=3)
    assert (a.ratio, a.ratio_low, a.ratio_high) == (1.0, 1.0, 1.0)
    assert (b.ratio, b.ratio_low, b.ratio_high) == (0.5, 0.5, pytest.approx(0.8))
    assert (a.median_ms, b.median_ms) == (1000.0, 800.0)
    assert (a.p10_ms, a.p90_ms) == (1000.0, 2000.0)
    assert a.runs == b.runs == 6
    assert (a.macs, a.file_size) == (123, 456)


def test_networks_load_in_turns_too(clock):
    targets = {"a": _network("a"), "b": _network("b")}
    a, b = compare(targets, warmup=7, runs=2, rounds=1, memory=True)
    turn = ["load a", "load b"]
    assert clock[:9] == [("a", 7), ("b", 7), *turn, *turn, *turn, ("a", 1)]
    assert (a.load_ms, a.memory_mb, a.peak_mb) == (21.5, 8.5, 41.0)
    assert (b.load_ms, b.memory_mb, b.peak_mb) == (3.0, None, None)
    text = table([a, b])
    assert "load ms" in text and "peak MB" in text and "21.5" in text


def test_memory_is_not_measured_unasked(clock):
    (a,) = compare({"a": _network("a")}, warmup=7, runs=2, rounds=1)
    assert (a.load_ms, a.memory_mb, a.peak_mb) == (None, None, None)
    assert "load ms" not in str(a) and "MB" not in str(a)
    assert not any("load" in step for step in clock)


def test_operations_off_the_delegate_are_told(clock):
    lines = []
    compare({"a": _network("a")}, warmup=7, runs=2, rounds=1, progress=lines.append)
    assert lines[0] == "loaded a (1 of 1); not on the CPU delegate: 2 SOFTMAX"


def test_results_are_a_table_and_a_csv_file(clock, tmp_path):
    rows = compare({"a": _network("a"), "b": _network("b")}, warmup=7, runs=6, rounds=3)
    text = table(rows)
    assert "0.500" in text and "(0.500-0.800)" in text
    assert processor() in text and "keras" in text
    path = tmp_path / "times.csv"
    write_csv(rows, path)
    with open(path, newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["name"] for row in written] == ["a", "b"]
    assert float(written[1]["median_ms"]) == rows[1].median_ms
    assert written[0]["processor"] == processor()
    assert set(written[0]) == {f.name for f in dataclasses.fields(rows[0])}


def test_a_litert_file_and_models_converted_to_one(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(litert.convert(_network()))
    model_path = tmp_path / "net.keras"
    _network().save(model_path)
    rows = compare(
        {
            "model": _network(),
            "int8": Case(_network(), quantize="int8", optimize="latency", batch_size=2),
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


def test_a_process_imports_the_runtime_alone(tmp_path, run_python):
    path = tmp_path / "net.tflite"
    path.write_bytes(litert.convert(_network()))
    code = f"""
import runpy, sys
import numpy as np
process = runpy.run_path({timer_process.__file__!r})
process["RUNTIMES"]["litert"][1]({str(path)!r}, np.zeros((1, 8, 8, 16)), 1)()
print([name for name in ("keras", "tensorflow", "keras_roots") if name in sys.modules])
"""
    assert run_python(code).strip().endswith("[]")


@pytest.mark.parametrize("runtime", other_runtimes.RUNTIMES)
def test_runtimes_of_others_are_yardsticks(runtime, tmp_path):
    for package in ("onnx", "tf2onnx", runtime):
        pytest.importorskip(package)
    model_path = tmp_path / "net.keras"
    _network().save(model_path)
    plain, int8, batch = compare(
        {
            "plain": Case(_network(), runtime),
            "int8": Case(_network(), runtime, quantize="int8"),
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
def test_tensorflow_runs_in_a_process_of_its_own(tmp_path):
    folder = tmp_path / "net"
    _network().export(folder, verbose=False)
    tensorflow, keras_, file = compare(
        {
            "tensorflow": Case(_network(), "tensorflow", threads=2),
            "keras": Case(_network(), "keras", batch_size=3),
            "file": Case(folder, "tensorflow"),
        },
        warmup=1,
        runs=2,
        rounds=1,
    )
    assert min(tensorflow.median_ms, keras_.median_ms, file.median_ms) > 0
    assert tensorflow.file_size > 0 and keras_.file_size is None
    assert file.macs is None and tensorflow.macs == keras_.macs > 0


def test_a_process_that_fails_says_why(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"broken")
    case = Case(tmp_path, "tensorflow", input_shape=(8, 8, 3))
    with pytest.raises(ValueError, match="process that times the network ended"):
        compare({"broken": case})


def test_a_saved_model_must_be_one(tmp_path):
    with pytest.raises(ValueError, match="is no SavedModel with a signature"):
        benchmark(tmp_path, "tensorflow")


def test_one_network_is_measured_by_name(clock, tmp_path):
    row = benchmark(_network("a"), warmup=7, runs=15)
    assert row.name == "a"
    assert "1000.000" in str(row)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"runtime": "onnx"}, "`runtime` must be one of.*'onnx'"),
        ({"threads": 0}, "`threads` must be a positive integer.*0"),
        ({"batch_size": 1.5}, "`batch_size` must be a positive integer"),
        ({"quantize": "int4"}, "`quantize` must be one of.*'int4'"),
        (
            {"runtime": "keras", "quantize": "int8"},
            r"`quantize` must be one of \[None\] for a Keras model .*runtime='keras'",
        ),
        (
            {"runtime": "openvino", "quantize": "dynamic"},
            r"`quantize` must be one of \[None, 'int8'\] .*runtime='openvino'",
        ),
        (
            {"runtime": "tensorflow", "optimize": "latency"},
            "`optimize` is for Keras models with runtime='litert'",
        ),
        ({"optimize": "speed"}, "`optimize` must be None.*'speed'"),
        ({"runs": 0}, "`runs` must be at least 1"),
        ({"warmup": -1}, "`warmup` must be at least 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        benchmark(_network(), **arguments)


def test_a_file_runs_where_it_can(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"must be one of \('litert',\) for a .tflite"):
        benchmark(path, "tensorflow")
    with pytest.raises(ValueError, match=r"must be one of \[None\] for a .tflite file"):
        benchmark(path, quantize="int8")
    with pytest.raises(ValueError, match="`optimize` is for Keras models"):
        benchmark(path, optimize="latency")
    with pytest.raises(ValueError, match="cannot load"):
        benchmark(path)
    with pytest.raises(ValueError, match="for a SavedModel"):
        benchmark(tmp_path, "litert")
    with pytest.raises(FileNotFoundError, match="missing"):
        benchmark(tmp_path / "missing.tflite")


def test_nothing_to_compare():
    with pytest.raises(ValueError, match="`targets` must be at least 1"):
        compare({})


def _open_network():
    return keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3)])


def test_sides_left_open_must_be_given(tmp_path):
    model = _open_network()
    with pytest.raises(ValueError, match="images of a fixed size"):
        benchmark(model)
    model.export(tmp_path / "net", verbose=False)
    with pytest.raises(ValueError, match="`input_shape` must be given"):
        benchmark(tmp_path / "net", "tensorflow")
    with pytest.raises(ValueError, match=r"`input_shape` must fit.*\(5, 5, 1\)"):
        benchmark(model, input_shape=(5, 5, 1))


def test_sides_left_open_can_be_given():
    row = benchmark(_open_network(), input_shape=(6, 5, 3), runs=2)
    assert row.macs == 4 * 3 * 27 * 4 + 4
