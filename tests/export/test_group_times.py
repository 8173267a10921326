"""Times by channels per group: the shipped table, interpolation and predictions."""

import math
import pathlib

import helpers
import numpy as np
import pytest

from keras_roots.convolutions.measured_times import ARITHMETIC, MeasuredTimes
from keras_roots.export import group_times, targets
from keras_roots.export.targets import TARGETS, Tile, cost

TABLE = pathlib.Path(__file__).parents[2] / "zoo" / "results" / "latency-avx512.csv"


def _curves(times):
    return {
        helpers.square_convolution(*shape): by_groups
        for shape, by_groups in times.items()
    }


def _file(path, rows):
    """Writes a table of rows of dtype, shape, groups and milliseconds."""
    return helpers.write_times(
        path,
        [
            (dtype, 1, [helpers.square_convolution(*shape, groups)], ms)
            for dtype, shape, groups, ms in rows
        ],
    )


@pytest.mark.parametrize("dtype", targets.DTYPES)
def test_the_measured_table_is_whole(dtype):
    curves = group_times.read(TABLE, dtype)
    assert len(curves) == 28
    for dense, times in curves.items():
        common = math.gcd(dense.channels, dense.filters)
        assert set(times) == {g for g in range(1, common + 1) if common % g == 0}
        assert all(0 < ms < 100 for ms in times.values())
        assert min(times.values()) < times[1]


def _by_groups(dense, times, tile):
    """Measured and predicted times of a shape by groups, depthwise left out."""
    taps = math.prod(dense.kernel_shape[:2])
    return {
        groups: (
            ms,
            cost(tile, taps, dense.channels // groups, dense.filters // groups, groups),
        )
        for groups, ms in times.items()
        if not dense.channels == dense.filters == groups
    }


@pytest.mark.parametrize("dtype", targets.DTYPES)
def test_predictions_are_what_was_measured(dtype):
    tile = TARGETS["avx512"][dtype]
    factors = []
    for dense, times in group_times.read(TABLE, dtype).items():
        found = np.array(list(_by_groups(dense, times, tile).values()))
        ratios = found[:, 0] / found[:, 1]
        factors += list(ratios / np.median(ratios))
    assert len(factors) > 100
    assert np.percentile(factors, 10) > 0.9 and np.percentile(factors, 90) < 1.1


@pytest.mark.parametrize("dtype", targets.DTYPES)
def test_the_fastest_prediction_is_the_fastest_measurement(dtype):
    tile = TARGETS["avx512"][dtype]
    changes = 0
    for dense, times in group_times.read(TABLE, dtype).items():
        found = _by_groups(dense, times, tile)
        for groups in found:
            options = {g: pair for g, pair in found.items() if groups % g == 0}
            chosen = min(options, key=lambda g: options[g][1])
            assert options[chosen][0] <= 1.02 * min(ms for ms, _ in options.values())
            changes += chosen != groups
    assert changes > 20


def _times(curves, kernel, channels, filters):
    return group_times.by_width(Tile(8, 1), kernel, channels, filters, curves)


def test_times_come_from_the_most_similar_shape():
    curves = _curves(
        {
            (3, 8, 64, 64): {1: 8.0, 2: 4.0, 8: 2.0, 64: 0.1},
            (3, 8, 64, 128): {1: 16.0, 8: 5.0},
            (5, 8, 64, 64): {1: 32.0, 8: 16.0},
        }
    )
    times = _times(curves, (3, 3), 64, 64)
    assert [times(width) for width in (64, 32, 8)] == pytest.approx([8.0, 4.0, 2.0])
    assert times(16) == pytest.approx(math.sqrt(4.0 * 2.0))
    assert times(1) is None and times(4) is None and times(128) is None
    assert _times(curves, (3, 3), 100, 200)(64) == pytest.approx(16.0)
    assert _times(curves, (3, 5), 64, 64)(8) in (
        pytest.approx(2.0),
        pytest.approx(16.0),
    )
    assert _times(curves, (7, 7), 32, 32)(64) == pytest.approx(32.0)


def test_interpolation_is_between_neighbours():
    curves = _curves({(3, 8, 32, 32): {1: 9.0, 2: 3.0, 4: 1.0, 8: 2.0}})
    times = _times(curves, (3, 3), 32, 32)
    values = [times(width) for width in range(4, 33)]
    assert np.argmin(values) == 8 - 4
    assert 1.0 < times(12) < 3.0 < times(24) < 9.0


def test_a_table_comes_before_predictions():
    curves = _curves({(3, 8, 16, 16): {1: 5.0, 4: 7.0}})
    times = _times(curves, (3, 3), 16, 16)
    assert times(16) == pytest.approx(5) and times(4) == pytest.approx(7)
    times = _times(None, (3, 3), 16, 16)
    assert times(4) == cost(Tile(8, 1), 9, 4, 4, 4)


SHAPE = (3, 8, 16, 32)


def test_a_table_is_read_from_a_file(tmp_path):
    rows = [("int8", SHAPE, 4, 0.5), ("int8", SHAPE, 1, 2), ("float32", SHAPE, 1, 3)]
    path = _file(tmp_path / "ms.csv", [*rows, ("int8", (5, 8, 16, 32), 1, 4)])
    want = {helpers.square_convolution(*SHAPE): {4: 0.5, 1: 2}}
    assert group_times.read(path, "int8") == want
    assert group_times.read(MeasuredTimes(path, "int8"), "int8") == want
    assert group_times.read(None, "int8") is None


def test_a_table_must_have_several_numbers_of_groups(tmp_path):
    path = _file(tmp_path / "ms.csv", [("int8", SHAPE, g, 1) for g in (1, 2)])
    assert group_times.read(path, "int8")
    for dtype in set(ARITHMETIC.values()) - {"int8"}:
        with pytest.raises(ValueError, match=f"`latency_table`.*{dtype}.*ms.csv"):
            group_times.read(path, dtype)


@pytest.mark.parametrize("text", ["", "dtype,kernel\nint8,3\n", "\x00\x01"])
def test_another_file_is_refused(text, tmp_path):
    path = tmp_path / "ms.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="table of measured times.*ms.csv"):
        group_times.read(path, "int8")


def test_a_missing_table_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="`latency_table`.*ms.csv"):
        group_times.read(tmp_path / "ms.csv", "int8")
