import os
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import profile_file
from keras_roots.benchmarking import profiler
from keras_roots.benchmarking.cases import Case
from keras_roots.benchmarking.file_profile import format_profiles
from keras_roots.benchmarking.profiler import profile_cases
from keras_roots.export import flatbuffer
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
                flatbuffer.convert(
                    _network(), quantize=quantize, calibration_images=images
                )
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
    path.write_bytes(
        flatbuffer.convert(model, quantize="int8", calibration_images=images)
    )
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


def _pooled():
    return keras.Sequential(
        [
            keras.Input((8, 8, 16)),
            GroupedConv2D(16, 3, groups=4, name="grouped"),
            layers.AveragePooling2D(2, name="pool"),
        ],
        name="network",
    )


def test_networks_and_files_are_profiled_in_their_order(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(flatbuffer.convert(_pooled()))
    saved = tmp_path / "net.keras"
    _pooled().save(saved)
    said = []
    profiled = profile_cases(
        {
            "0": Case(_pooled(), quantize="int8", batch_size=2, label="network"),
            "1": Case(path, threads=2, label="net.tflite"),
            "2": Case(saved, label="net.keras"),
        },
        runs=2,
        warmup=0,
        progress=said.append,
    )
    names = ["network", "net.tflite", "net.keras"]
    assert [each.name for each in profiled] == names
    assert [each.threads for each in profiled] == [1, 2, 1]
    assert "loaded net.keras (2 of 2)" in said
    text = format_profiles(profiled)
    titles = ["network int8: ", "net.tflite: ", "net.keras: "]
    assert [text.count(title) for title in titles] == [1, 1, 1]

    rows = [row for each in profiled for row in each.rows()]
    int8, file, _ = (
        next(row for row in rows if row.name == name and row.layer == "grouped")
        for name in ("network", "net.tflite", "net.keras")
    )
    # 6x6 positions of 16 filters that see 3x3x4 weights, and 16 biases.
    assert int8.macs == 2 * 36 * 16 * 36 + 16
    assert file.macs == 36 * 16 * 36 + 16
    assert (int8.quantize, int8.batch_size, file.threads) == ("int8", 2, 2)
    assert int8.input_shape == "2x8x8x16"
    assert file.kernel_shape == "16x3x3x4"
    assert file.output_shape == "1x6x6x16"
    assert (file.strides, file.groups, file.operation) == ("1x1", 4, "CONV_2D")
    assert file.kernel.startswith("Convolution (")
    assert [row.position for row in rows if row.name == "net.tflite"] == [0, 1]
    pools = {
        row.name: row.delegated for row in rows if row.operation == "AVERAGE_POOL_2D"
    }
    assert pools == {"network": False, "net.tflite": True, "net.keras": True}
    for each in profiled:
        own = [row for row in rows if row.name == each.name]
        assert sum(row.share for row in own) == pytest.approx(1)
        assert {row.call_ms for row in own} == {each.call_ms}


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_networks_of_several_inputs_are_profiled(quantize, several):
    (found,) = profile_cases({"net": Case(several, quantize=quantize)}, runs=2)
    kinds = {each.kind for each in found.operations}
    assert {"CONV_2D 3x3", "GATHER"} <= kinds


def test_rewrites_are_profiled():
    """LiteRT has no fast int8 average pool; a rewrite makes it a convolution."""
    cases = {
        str(name): Case(_pooled(), quantize="int8", optimize=name, label="network")
        for name in (None, "convolve_average_pools")
    }
    plain, rewritten = profile_cases(cases, runs=1, warmup=0)
    assert str(plain).startswith("network int8: ")
    assert str(rewritten).startswith("network int8 convolve_average_pools: ")
    assert [each.kernel for each in plain.undelegated] == ["AVERAGE_POOL_2D"]
    assert not rewritten.undelegated
    assert {row.optimize for row in rewritten.rows()} == {"convolve_average_pools"}


def test_only_litert_tells(tmp_path):
    _pooled().export(tmp_path / "saved", verbose=False)
    case = Case(tmp_path / "saved", "tensorflow", label="saved")
    with pytest.raises(ValueError, match="`runtime` must be 'litert'.*'saved'"):
        profile_cases({"0": case})


SUMMARY = """=== Run Order ===
Delegate/Convolution (NHWC, F32) IGEMM 0.000 {0} {0} 50% 50% 0.000 1   [Delegate]:0
Delegate/Add (ND) 0.000 {1} {2} 50% 100% 0.000 2   [Delegate]:1
=== Top by Computation Time ==="""


@pytest.fixture
def answers(monkeypatch, tmp_path):
    """Processes that answer as told and note who was asked what."""
    asked = []
    for name in ("a", "b", "odd", "fickle"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    class Scripted:
        def __init__(self, script, file, threads):
            asked.append(("start", file))
            self._file = file
            self._times = iter([0.1, 0.3, 0.2])

        def close(self):
            asked.append(("end", self._file))

        def ask(self, command, count):
            asked.append((command, count, self._file))
            if command == "time":
                return [0.002] * count
            first = next(self._times)
            text = SUMMARY.format(first, 0.05, 0.1)
            texts = {"odd": ["nothing"], "fickle": [text, text.replace("Add", "Sub")]}
            return (texts.get(self._file, [text]) * count)[:count]

    monkeypatch.setattr(profiler, "Worker", Scripted)
    monkeypatch.setattr(profiler, "read_operations", lambda file: [])
    return asked


def test_files_take_turns_and_medians_stand_for_calls(answers):
    both = profile_cases({"A": "a", "B": "b"}, runs=5, warmup=7, rounds=3)
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
        ("fickle", "'fickle': its summaries differ in their operations"),
    ],
)
def test_summaries_that_are_none_are_refused(answers, file, text):
    with pytest.raises(ValueError, match=text):
        profile_cases({"A": file})


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
        ({"threads": 0}, "`threads` must be an integer, 1 or more. Received: .*0"),
        ({"runs": 0}, "`runs` must be an integer, 1 or more"),
        ({"runs": 2.5}, "`runs` must be an integer, 1 or more. Received: .*2.5"),
        ({"warmup": -1}, "`warmup` must be an integer, 0 or more"),
    ],
)
def test_impossible_arguments_are_refused(exported, arguments, text):
    with pytest.raises(ValueError, match=text):
        profile_file(exported(None), **arguments)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="`targets` must hold a network or more"):
        profile_cases({})
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
