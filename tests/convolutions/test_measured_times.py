"""Tables of measured times in CSV files: what they hold and what they refuse."""

import dataclasses

import helpers
import pytest

from keras_roots.convolutions import measured_times
from keras_roots.convolutions.description import Convolution
from keras_roots.convolutions.measured_times import MeasuredTimes

WHOLE = Convolution((3, 3, 16, 32), 1, (1, 1), "same", (1, 1), True, ((8, 8),))
BASIS = dataclasses.replace(WHOLE, kernel_shape=(3, 3, 16, 4), use_bias=False)
MIX = dataclasses.replace(WHOLE, kernel_shape=(1, 1, 4, 32))


@pytest.fixture
def path(tmp_path):
    """A table of two convolutions alone and one chain of both."""
    rows = [
        ("float32", 1, [WHOLE], 5),
        ("float32", 1, [BASIS, MIX], 2),
        ("float32", 2, [WHOLE], 3),
        ("int8", 1, [BASIS], 1),
    ]
    return helpers.write_times(tmp_path / "times.csv", rows)


def test_times_of_chains(path):
    assert MeasuredTimes(path).ms([(BASIS, MIX), (WHOLE,)]) == [2, 5]
    assert MeasuredTimes(path, threads=2).ms([(WHOLE,)]) == [3]
    assert MeasuredTimes(path, "int8").ms([(BASIS,)]) == [1]
    assert MeasuredTimes(path).ms([]) == []


def test_calls_add_up(path):
    twice = dataclasses.replace(WHOLE, inputs=((8, 8), (8, 8)))
    assert MeasuredTimes(path).ms([(twice,)]) == [10]


def test_what_is_lacking_is_named(path):
    with pytest.raises(ValueError, match="(?s)times.csv.*lacks.*1x1 on 8x8x4"):
        MeasuredTimes(path).ms([(WHOLE,), (MIX,)])
    with pytest.raises(ValueError, match="lacks"):
        MeasuredTimes().ms([(WHOLE,)])


def test_convolutions_alone(path):
    assert MeasuredTimes(path).singles() == {WHOLE: 5}
    assert MeasuredTimes(path, "int8").singles() == {BASIS: 1}
    assert MeasuredTimes(path, "dynamic").singles() == {}


@pytest.mark.parametrize(
    ("chain", "message"), [((), "empty chain"), ((BASIS, WHOLE), r"\(8, 8, 4\)")]
)
def test_impossible_chains(path, chain, message):
    with pytest.raises(ValueError, match=f"(?s)`chains`.*{message}"):
        MeasuredTimes(path).ms([(WHOLE,), chain])


def _csv(ms="1.0", columns=measured_times.COLUMNS, cells=("float32", "1", "3x3")):
    return "\n".join([",".join(columns), ",".join([*cells, ms, "CPU", "versions"])])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        _csv(ms="fast"),
        _csv(ms="-1"),
        _csv(ms="nan"),
        _csv(ms="inf"),
        _csv(columns=measured_times.COLUMNS[:-1]),
        _csv(cells=("float32",)),
        "\x00\x01",
    ],
)
def test_damaged_files(tmp_path, text):
    path = tmp_path / "latency.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="(?s)`path`.*Received: .*latency.csv"):
        MeasuredTimes(path)
    assert path.read_text() == text


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "latency.csv"
    path.write_bytes(b"\x90\xff")
    with pytest.raises(ValueError, match="`latency_table`.*Received: .*latency.csv"):
        MeasuredTimes(path)


def test_a_row_that_is_no_convolution(tmp_path):
    path = tmp_path / "latency.csv"
    path.write_text(_csv())
    with pytest.raises(ValueError, match="Received: '3x3'"):
        MeasuredTimes(path).singles()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantize": "float16"}, "`quantize` must be one of .*quantize='float16'"),
        ({"quantize": "float32"}, "`quantize` must be one of"),
        ({"path": 5}, "Received: path=5"),
        ({"threads": 0}, "Received: threads=0"),
        ({"threads": True}, "Received: threads=True"),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MeasuredTimes(**arguments)
