"""Columns that follow from others."""

from keras_roots.training.reports.performance import columns


def _row(root, ms, family="root_nin", **values):
    row = {"model": f"{family}:{root}", "family": family, "root": root, "side": 32}
    row |= {"quantize": None, "optimize": None, "runtime": "litert", "threads": 1}
    return row | {"batch_size": 1, "median_ms": ms} | values


def test_rise_is_over_the_fastest_of_fewer_groups():
    rows = [
        _row(4, 6.0),
        _row(1, 10.0),
        _row(8, 4.5),
        _row(2, 5.0),
        _row(2, 8.0, quantize="int8"),
        _row(1, 4.0, quantize="int8"),
        _row(None, 1.0, family="other"),
    ]
    rises = columns.rise(rows)
    assert rises == [1.2, None, 0.9, 0.5, 2.0, None, None]
    for row, value in zip(rows, rises, strict=True):
        row["rise"] = value
    assert columns.worst_rises(rows) == [
        "worst rise of root_nin, float32: 1.200 at root 4",
        "worst rise of root_nin, int8: 2.000 at root 2",
    ]


def test_dense_ratio_compares_like_with_like():
    rows = [
        _row(1, 10.0),
        _row(8, 5.0),
        _row(1, 8.0, optimize="latency"),
        _row(8, 2.0, optimize="latency"),
        _row(8, 2.0, family="root_convnet"),  # whose dense network is missing
    ]
    assert columns.dense_ratio(rows) == [1.0, 0.5, 1.0, 0.25, None]


def test_times_by_work():
    rows = [_row(1, 8.0, side=448, batch_size=4), _row(1, 8.0, side=112)]
    assert columns.ms_as_224(rows) == [2.0, 32.0]
    assert columns.ms_per_image(rows) == [2.0, 8.0]


def test_the_table_shows_how_networks_ran():
    times = {"p10_ms": 9.0, "p90_ms": 11.25, "macs": 1234, "date": "today"}
    where = {"processor": "a processor", "versions": "keras 3"}
    rows = [
        _row(1, 10.0, ratio=1.0, rise=None, **times, **where),
        _row(8, 5.0, quantize="int8", runtime="openvino", ratio=0.5, rise=0.51234)
        | times,
    ]
    lines = columns.table(rows, ["ratio", "rise"]).splitlines()
    assert lines[0].endswith("median ms  p10 ms  p90 ms  ratio    rise")
    assert lines[2].split()[:6] == ["root_nin:1", "float32", "1", "1", "32", "1,234"]
    assert lines[2].split()[6:] == ["10.000", "9.000", "11.250", "1"]
    assert lines[3].split()[:3] == ["root_nin:8", "int8", "openvino"]
    assert lines[3].endswith("0.5  0.5123")
    assert lines[4] == "a processor; keras 3; today"
