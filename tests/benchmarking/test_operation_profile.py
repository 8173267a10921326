import os
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import profile_file
from keras_roots.benchmarking import operation_profile
from keras_roots.benchmarking.operation_profile import (
    FileProfile,
    OperationTime,
    profile_files,
)
from keras_roots.export import litert
from keras_roots.export.operations import Operation
from keras_roots.layers.grouped_conv2d import GroupedConv2D


def _network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 16)),
            GroupedConv2D(16, 3, groups=4, padding="same", name="grouped"),
            layers.Conv2D(8, 1, activation="relu", name="mix"),
            layers.AveragePooling2D(3, 2, "same", name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(5, use_bias=False, name="scores"),
        ],
        name="network",
    )


# Weights times positions, and biases.
MACS = {
    "grouped": 16 * 9 * 4 * 64 + 16,
    "mix": 8 * 16 * 64 + 8,
    "scores": 4 * 4 * 8 * 5,
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Function of a quantisation: path of the network's file."""
    folder = tmp_path_factory.mktemp("profiled")
    paths = {}

    def export(quantize):
        if quantize not in paths:
            keras.utils.set_random_seed(0)
            images = np.random.default_rng(0).normal(size=(4, 8, 8, 16))
            paths[quantize] = folder / f"{quantize}.tflite"
            paths[quantize].write_bytes(
                litert.convert(_network(), quantize=quantize, calibration_images=images)
            )
        return paths[quantize]

    return export


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_every_operation_of_a_file_has_its_time(exported, quantize):
    found = profile_file(exported(quantize), runs=4, warmup=1)
    assert (found.name, found.threads) == (f"{quantize}.tflite", 1)
    assert found.runs == 5  # four in five turns
    counted = {
        each.operation.layer: each.macs for each in found.operations if each.macs
    }
    assert counted == MACS
    assert found.macs == sum(MACS.values())
    assert found.call_ms > 0
    assert 0 < found.ms == sum(each.ms for each in found.operations)
    assert sum(each.share for each in found.operations) == pytest.approx(1)
    kernels = {
        each.operation.layer: each.kernel
        for each in found.operations
        if each.operation is not None
    }
    assert kernels["grouped"].startswith("Convolution (")
    assert kernels["scores"].startswith("Fully Connected (")
    off = [each.operation.layer for each in found.undelegated]
    assert off == (["pool"] if quantize == "int8" else [])
    assert "not on XNNPACK" * len(off) in str(found)


def test_parts_on_the_delegate_are_told_apart(tmp_path):
    """Pools off the delegate, in branches, cut the network into parts alike."""
    outputs = inputs = keras.Input((8, 8, 8))
    for module in "abc":
        pooled = layers.AveragePooling2D(3, 1, "same", name=f"{module}_pool")(outputs)
        branches = [
            layers.Conv2D(8, 1, name=f"{module}_pooled")(pooled),
            GroupedConv2D(8, 3, groups=2, padding="same", name=f"{module}_grouped")(
                layers.Conv2D(8, 1, name=f"{module}_reduced")(outputs)
            ),
        ]
        outputs = layers.Concatenate(name=f"{module}_both")(branches)
    outputs = layers.Conv2D(4, 5, name="last")(outputs)
    model = keras.Model(inputs, layers.Softmax(name="scores")(outputs))
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 8))
    path = tmp_path / "parts.tflite"
    path.write_bytes(litert.convert(model, quantize="int8", calibration_images=images))
    found = profile_file(path, runs=1, warmup=0)
    assert all(each.operation for each in found.operations)
    assert [
        each.operation.layer for each in found.operations if each.operation.layer
    ] == [
        f"{module}_{name}"
        for module in "abc"
        for name in ("reduced", "grouped", "pool", "pooled", "both")
    ] + ["last"]
    assert [
        (each.kernel, each.operation.name)
        for each in found.operations
        if each.kernel in ("Convert (NC)", "AVERAGE_POOL_2D", "SOFTMAX")
    ] == [
        ("Convert (NC)", "QUANTIZE"),
        *[("AVERAGE_POOL_2D", "AVERAGE_POOL_2D")] * 3,
        ("SOFTMAX", "SOFTMAX"),
        ("Convert (NC)", "DEQUANTIZE"),
    ]


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts on Linux")
def test_threads_are_used(exported):
    counts = []
    for threads in (1, 3):
        with operation_profile.Worker(exported(None), threads) as worker:
            worker.ask("time", 1)
            counts.append(len(os.listdir(f"/proc/{worker._process.pid}/task")))
    assert counts[1] == counts[0] + 2


def _time(kernel, ms, share, kind=None, macs=0, delegated=True):
    operation = kind and Operation(
        name=kind,
        layer=f"{kind.lower()}_layer",
        input_shape=(1, 8, 8, 4),
        kernel_shape=(4, 3, 3, 2) if macs else None,
        output_shape=(1, 8, 8, 4),
        strides=(2, 1) if macs else None,
        groups=2 if macs else 1,
        macs=macs,
        weight_bytes=0,
        sources=(),
    )
    return OperationTime(kernel, delegated, ms, share, operation)


def test_times_are_printed_one_by_one_and_by_kind():
    found = FileProfile(
        name="net.tflite",
        operations=(
            _time("Convolution (NHWC, F32) IGEMM", 0.5, 0.25, "CONV_2D", 3_000_000),
            _time("Clamp (NC)", 0.25, 0.125),
            _time("AVERAGE_POOL_2D", 0.25, 0.125, "AVERAGE_POOL_2D", delegated=False),
            _time("Convolution (NHWC, F32) IGEMM", 1.0, 0.5, "CONV_2D", 6_000_000),
        ),
        call_ms=2.125,
        threads=1,
        runs=20,
        processor="a CPU",
        versions="of packages",
    )
    (grouped, both), *others = found.kinds()
    assert grouped == "CONV_2D 3x3/2 grouped"
    assert both == (found.operations[0], found.operations[3])
    assert {name for name, _ in others} == {"Clamp", "AVERAGE_POOL_2D"}
    rows = [line.split() for line in str(found).splitlines()]
    convolution = next(row for row in rows if "conv_2d_layer" in row)
    assert convolution[-9:] == [
        *("IGEMM", "1x8x8x4", "4x3x3x2", "1x8x8x4", "2"),
        *("3,000,000", "0.500", "25.0%", "6.0"),
    ]
    assert ["Clamp", "Clamp", "(NC)", "0.250", "12.5%"] in rows
    pool = next(row for row in rows if "average_pool_2d_layer" in row)
    assert pool[2:5] == ["not", "on", "XNNPACK"]
    assert [*grouped.split(), "2", "9,000,000", "1.500", "75.0%", "6.0"] in rows
    assert ["total", "4", "9,000,000", "2.000", "100.0%", "4.5"] in rows
    assert "2.125 ms a call" in str(found)


SUMMARY = """=== Run Order ===
Delegate/Convolution (NHWC, F32) IGEMM 0.000 {0} {0} 50% 50% 0.000 1   [Delegate]:0
Delegate/Add (ND) 0.000 {1} {2} 50% 100% 0.000 2   [Delegate]:1
=== Top by Computation Time ==="""


@pytest.fixture
def answers(monkeypatch):
    """Processes that answer as told and note who was asked what."""
    asked = []

    class Scripted(operation_profile.Worker):
        def __enter__(self):
            asked.append(("start", self._file))
            self._times = iter([0.1, 0.3, 0.2])
            return self

        def __exit__(self, *error):
            asked.append(("end", self._file))

        def ask(self, command, count):
            asked.append((command, count, self._file))
            if command == "time":
                return [0.002] * count
            first = next(self._times)
            text = SUMMARY.format(first, 0.05, 0.1)
            texts = {"odd": ["nothing"], "fickle": [text, text.replace("Add", "Sub")]}
            return (texts.get(self._file, [text]) * count)[:count]

    monkeypatch.setattr(operation_profile, "Worker", Scripted)
    monkeypatch.setattr(operation_profile, "read_operations", lambda file: [])
    return asked


def test_files_take_turns_and_medians_stand_for_calls(answers):
    both = profile_files({"A": "a", "B": "b"}, runs=5, warmup=7, rounds=3)
    loading = [("start", "a"), ("time", 7, "a"), ("start", "b"), ("time", 7, "b")]
    turn = [
        (command, count, name)
        for name in "ab"
        for command, count in (("time", 1), ("time", 2), ("profile", 2))
    ]
    assert answers == [*loading, *turn, *turn, *turn, ("end", "b"), ("end", "a")]
    for name, found in zip("AB", both, strict=True):
        assert (found.name, found.runs, found.call_ms) == (name, 6, 2.0)
        times = [(each.kernel, each.ms) for each in found.operations]
        # The sum of two, 0.2 ms, comes apart into 0.05 and the rest.
        assert times == [
            ("Convolution (NHWC, F32) IGEMM", 0.2),
            ("Add (ND)", 0.05),
            ("Add (ND)", pytest.approx(0.15)),
        ]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("odd", "'odd': its summary lists no.*Received: version"),
        ("fickle", "'fickle': it tells of other operations in every call"),
    ],
)
def test_summaries_that_are_none_are_refused(answers, file, text):
    with pytest.raises(ValueError, match=text):
        profile_files({"A": file})


# What another version of LiteRT might do when it is imported: the library is missing,
# it crashes, it lacks a function.
BROKEN = {
    "pass": "There is no libLiteRt",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "status -11",
    "import ctypes; ctypes.CDLL = lambda path: object()": "no attribute 'LiteRt",
}


@pytest.mark.parametrize("code", BROKEN)
def test_another_version_is_named(exported, tmp_path, monkeypatch, code):
    package = tmp_path / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").write_text(code)
    if "ctypes" in code:
        (package / "libLiteRt.so").touch()
    path = exported(None)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ValueError) as caught:
        profile_file(path)
    for text in (BROKEN[code], str(path), "ai-edge-litert 2.2 and 2.3", "version"):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"threads": 0}, "`threads` must be at least 1. Received: 0"),
        ({"runs": 0}, "`runs` must be at least 1"),
        ({"runs": 2.5}, "`runs` must be at least 1. Received: 2.5"),
        ({"warmup": -1}, "`warmup` must be at least 0"),
    ],
)
def test_impossible_arguments_are_refused(exported, arguments, text):
    with pytest.raises(ValueError, match=text):
        profile_file(exported(None), **arguments)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="`files` must be at least 1"):
        profile_files({})
    with pytest.raises(FileNotFoundError, match="missing"):
        profile_file(tmp_path / "missing.tflite")
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"broken")
    with pytest.raises(ValueError, match="`file` must be a LiteRT file.*broken"):
        profile_file(os.fspath(path))


def test_a_missing_runtime_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_roots\[litert\]'"):
        profile_file("net.tflite")
