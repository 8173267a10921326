import pathlib

import numpy as np
import pytest

from keras_roots.export import costs, targets
from keras_roots.export.targets import TARGETS, Tile, cost

TABLE = pathlib.Path(__file__).parents[2] / "zoo" / "results" / "group-costs.csv"


def _by_groups(shape, times, tile):
    """Measured and predicted times of a shape by groups, depthwise left out."""
    return {
        groups: (ms, cost(tile, shape.kernel**2, *_widths(shape, groups), groups))
        for groups, ms in times.items()
        if not shape.channels == shape.filters == groups
    }


def _widths(shape, groups):
    return shape.channels // groups, shape.filters // groups


@pytest.mark.parametrize("dtype", targets.DTYPES)
def test_predictions_are_what_was_measured(dtype):
    tile = TARGETS["avx512"][dtype]
    factors = []
    for shape, times in costs.load(TABLE)[dtype].items():
        found = np.array(list(_by_groups(shape, times, tile).values()))
        ratios = found[:, 0] / found[:, 1]
        factors += list(ratios / np.median(ratios))
    assert len(factors) > 100
    assert np.percentile(factors, 10) > 0.9 and np.percentile(factors, 90) < 1.1


@pytest.mark.parametrize("dtype", targets.DTYPES)
def test_the_fastest_prediction_is_the_fastest_measurement(dtype):
    tile = TARGETS["avx512"][dtype]
    changes = 0
    for shape, times in costs.load(TABLE)[dtype].items():
        found = _by_groups(shape, times, tile)
        for groups in found:
            options = {g: pair for g, pair in found.items() if groups % g == 0}
            chosen = min(options, key=lambda g: options[g][1])
            assert options[chosen][0] <= 1.02 * min(ms for ms, _ in options.values())
            changes += chosen != groups
    assert changes > 20


@pytest.mark.parametrize(
    ("tile", "arguments", "expected"),
    [
        (Tile(8, 1), (9, 4, 8), 8 * 9 * 4.5),
        (Tile(8, 1), (9, 4, 9), 16 * 9 * 4.5),
        (Tile(16, 8), (9, 4, 16, 3), 3 * 16 * 9 * 12),
        (Tile(16, 8), (1, 9, 1), 16 * 20),
        (Tile(32, 1, narrow=16), (1, 1, 16), 16 * 1.5),
        (Tile(32, 1, narrow=16), (1, 1, 17), 32 * 1.5),
    ],
)
def test_channels_and_filters_fill_whole_tiles(tile, arguments, expected):
    assert cost(tile, *arguments) == expected


def test_a_table_comes_before_predictions():
    table = {costs.Shape(3, 8, 16, 16): {1: 5.0, 4: 7.0}}
    times = targets.group_times(Tile(8, 1), (3, 3), 16, 16, table)
    assert times(16) == pytest.approx(5) and times(4) == pytest.approx(7)
    times = targets.group_times(Tile(8, 1), (3, 3), 16, 16)
    assert times(4) == cost(Tile(8, 1), 9, 4, 4, 4)


def test_a_table_must_have_the_type(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text(",".join(costs.COLUMNS) + "\nint8,3,8,16,16,2,1.0\n")
    assert targets.load_table(path, "int8")
    assert targets.load_table(None, "float32") is None
    with pytest.raises(ValueError, match="must have rows for 'float32'.*costs.csv"):
        targets.load_table(path, "float32")
