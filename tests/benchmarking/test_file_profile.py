import dataclasses

import pytest

from keras_roots.benchmarking.file_profile import (
    FileProfile,
    OperationTime,
    format_profiles,
)
from keras_roots.export.operations import Operation


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


@pytest.fixture
def found():
    return FileProfile(
        name="net.tflite",
        quantize=None,
        optimize=None,
        threads=1,
        batch_size=1,
        operations=(
            _time("Convolution (NHWC, F32) IGEMM", 0.5, 0.25, "CONV_2D", 3_000_000),
            _time("Clamp (NC)", 0.25, 0.125),
            _time("AVERAGE_POOL_2D", 0.25, 0.125, "AVERAGE_POOL_2D", delegated=False),
            _time("Convolution (NHWC, F32) IGEMM", 1.0, 0.5, "CONV_2D", 6_000_000),
        ),
        call_ms=2.125,
        runs=20,
        processor="a CPU",
        versions="of packages",
    )


def test_times_are_printed_one_by_one_and_by_kind(found):
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


def test_rows_hold_what_each_operation_computes(found):
    rows = found.rows()
    assert [row.position for row in rows] == [0, 1, 2, 3]
    assert {(row.name, row.threads, row.call_ms, row.runs) for row in rows} == {
        ("net.tflite", 1, 2.125, 20)
    }
    convolution, clamp, pool, _ = rows
    assert (convolution.operation, convolution.strides) == ("CONV_2D", "2x1")
    assert (convolution.kernel_shape, convolution.groups) == ("4x3x3x2", 2)
    assert (clamp.operation, clamp.layer, clamp.input_shape) == ("", "", "")
    assert (clamp.groups, clamp.macs, clamp.weight_bytes) == (None, 0, None)
    assert (pool.delegated, pool.kernel_shape, pool.share) == (False, "", 0.125)


def test_titles_tell_how_a_network_was_exported(found):
    changed = dataclasses.replace(found, quantize="int8", optimize="latency")
    first, second = format_profiles([found, changed]).split("\n\n\n")
    assert first == str(found)
    assert second.startswith("net.tflite int8 latency: 2.125 ms a call")
