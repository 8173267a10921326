import math
import pathlib

import numpy as np
import pytest

from keras_roots.export import costs
from keras_roots.export.costs import Shape

HEADER = "dtype,kernel,side,channels,filters,groups,ms\n"


TABLE = pathlib.Path(__file__).parents[2] / "zoo" / "results" / "group-costs.csv"


def test_the_measured_table_is_whole():
    table = costs.load(TABLE)
    assert set(table) == {"float32", "dynamic", "int8"}
    for shapes in table.values():
        assert set(shapes) == set(costs.SHAPES)
        for shape, times in shapes.items():
            common = math.gcd(shape.channels, shape.filters)
            assert set(times) == {g for g in range(1, common + 1) if common % g == 0}
            assert all(0 < ms < 100 for ms in times.values())


def test_a_dense_layer_costs_more_than_a_few_groups():
    for shapes in costs.load(TABLE).values():
        for times in shapes.values():
            assert min(times.values()) < times[1]


def test_times_come_from_the_most_similar_shape():
    shapes = {
        Shape(3, 8, 64, 64): {1: 8.0, 2: 4.0, 8: 2.0, 64: 0.1},
        Shape(3, 8, 64, 128): {1: 16.0, 8: 5.0},
        Shape(5, 8, 64, 64): {1: 32.0, 8: 16.0},
    }
    times = costs.times(shapes, 3, 64, 64)
    assert [times(width) for width in (64, 32, 8)] == pytest.approx([8.0, 4.0, 2.0])
    assert times(16) == pytest.approx(math.sqrt(4.0 * 2.0))
    assert times(1) is None and times(4) is None and times(128) is None
    assert costs.times(shapes, 3, 100, 200)(64) == pytest.approx(16.0)
    assert costs.times(shapes, math.sqrt(3 * 5), 64, 64)(8) in (
        pytest.approx(2.0),
        pytest.approx(16.0),
    )
    assert costs.times(shapes, 7, 32, 32)(64) == pytest.approx(32.0)


def test_a_table_is_read_from_a_file(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text("# about\n" + HEADER + "int8,3,8,16,32,4,0.5\n")
    assert costs.load(path) == {"int8": {Shape(3, 8, 16, 32): {4: 0.5}}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        "dtype,kernel\nint8,3\n",
        HEADER + "int8,3,8,16,32,4,fast\n",
        HEADER + "int8,3,8,16,32,4,-1\n",
        HEADER + "int8,3,8,16,32,0,1\n",
        HEADER + "int8,3,8,16,32,4,nan\n",
        HEADER + "int8,3,8\n",
        "\x00\x01",
    ],
)
def test_another_file_is_refused(text, tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="`cost_table`.*costs.csv"):
        costs.load(path)


def test_a_missing_table_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        costs.load(tmp_path / "costs.csv")


def test_interpolation_is_between_neighbours():
    shapes = {Shape(3, 8, 32, 32): {1: 9.0, 2: 3.0, 4: 1.0, 8: 2.0}}
    times = costs.times(shapes, 3, 32, 32)
    values = [times(width) for width in range(4, 33)]
    assert np.argmin(values) == 8 - 4
    assert 1.0 < times(12) < 3.0 < times(24) < 9.0
