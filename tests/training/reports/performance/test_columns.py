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
