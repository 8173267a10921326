import csv
import dataclasses
import itertools
import math
import sys

import keras
import pytest

from keras_roots.benchmarking import comparison, latency_table
from keras_roots.benchmarking.comparison import processor
from keras_roots.benchmarking.latency_table import ConvSpec, LatencyTable
from keras_roots.layers.grouped_conv2d import GroupedConv2D

SPEC = ConvSpec((3, 3), (1, 1), "same", (1, 1), (8, 8, 16), 32, 1, True)
BASIS = dataclasses.replace(SPEC, filters=4, use_bias=False)
MIX = dataclasses.replace(SPEC, kernel=(1, 1), input_shape=(8, 8, 4))


class Measure:
    """Stands for the measurement: 1 ms, 2 ms, ... in the order of the calls."""

    def __init__(self):
        self.calls = []
        self._times = itertools.count(1)

    def __call__(self, chains, dtype, threads, runs):
        self.calls.append((list(chains), dtype, threads, runs))
        return [float(next(self._times)) for _ in chains]


def _specs(count):
    return [dataclasses.replace(SPEC, filters=1 + index) for index in range(count)]


def test_chains_are_measured_once_in_the_order_given():
    measure = Measure()
    table = LatencyTable(dtype="int8", threads=2, runs=7, measure=measure)
    chains = [(SPEC,), (BASIS, MIX), (SPEC,)]
    assert table.ms_many(chains) == [1, 2, 1]
    assert measure.calls == [([(SPEC,), (BASIS, MIX)], "int8", 2, 7)]
    assert table.ms_many([(BASIS, MIX), (BASIS,)]) == [2, 3]
    assert table.ms(SPEC) == 1
    assert [len(chains) for chains, *_ in measure.calls] == [2, 1]
    assert table.ms_many([]) == []


def test_many_chains_are_measured_some_at_a_time():
    measure = Measure()
    chains = [(spec,) for spec in _specs(40)]
    assert LatencyTable(measure=measure).ms_many(chains) == list(range(1, 41))
    assert max(len(call[0]) for call in measure.calls) <= 16
    assert [chain for call in measure.calls for chain in call[0]] == chains


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(SPEC)])
def test_every_field_tells_convolutions_apart(field):
    other = {
        "kernel": (3, 1),
        "strides": (1, 2),
        "padding": "valid",
        "dilation": (2, 1),
        "input_shape": (8, 9, 16),
        "filters": 31,
        "groups": 2,
        "use_bias": False,
    }[field]
    table = LatencyTable(measure=Measure())
    assert table.ms(SPEC) == 1
    assert table.ms(dataclasses.replace(SPEC, **{field: other})) == 2
    assert table.ms(SPEC) == 1


def test_a_file_keeps_what_was_measured(tmp_path):
    path = tmp_path / "latency.csv"
    first = LatencyTable(path, measure=Measure())
    assert first.ms_many([(SPEC,), (BASIS, MIX)]) == [1, 2]
    measure = Measure()
    again = LatencyTable(path, measure=measure)
    assert again.ms_many([(BASIS, MIX), (SPEC,)]) == [2, 1]
    assert not measure.calls
    assert again.ms(BASIS) == 1
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ms"] for row in rows] == ["1.00000", "2.00000", "1.00000"]
    assert {row["processor"] for row in rows} == {processor()}
    assert rows[1]["convolutions"] == (
        "3x3 on 8x8x16, filters 4, groups 1, strides 1x1, dilation 1x1, same; "
        "1x1 on 8x8x4, filters 32, groups 1, strides 1x1, dilation 1x1, same, bias"
    )
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"dtype": "int8"}, {"threads": 2}])
def test_a_file_tells_how_a_network_runs(tmp_path, change):
    path = tmp_path / "latency.csv"
    LatencyTable(path, measure=Measure()).ms(SPEC)
    measure = Measure()
    LatencyTable(path, measure=measure, **change).ms(SPEC)
    assert len(measure.calls) == 1
    assert len(path.read_text().splitlines()) == 3


def test_two_tables_share_a_file(tmp_path):
    path = tmp_path / "latency.csv"
    one, other = (LatencyTable(path, measure=Measure()) for _ in range(2))
    one.ms(SPEC)
    other.ms(BASIS)
    measure = Measure()
    LatencyTable(path, measure=measure).ms_many([(SPEC,), (BASIS,)])
    assert not measure.calls


def test_what_was_measured_survives_a_failure(tmp_path):
    path = tmp_path / "latency.csv"
    measured = Measure()

    def measure(chains, *args):
        if measured.calls:
            raise OSError("stopped")
        return measured(chains, *args)

    with pytest.raises(OSError, match="stopped"):
        LatencyTable(path, measure=measure).ms_many([(s,) for s in _specs(20)])
    assert len(path.read_text().splitlines()) == 17


def test_times_of_two_machines_do_not_mix(tmp_path, monkeypatch):
    path = tmp_path / "latency.csv"
    LatencyTable(path, measure=Measure()).ms(SPEC)
    monkeypatch.setattr(comparison, "processor", lambda: "another CPU")
    table = LatencyTable(path, measure=Measure())
    assert table.ms(SPEC) == 1
    with pytest.raises(ValueError, match="(?s)`path`.*Received: .*'another CPU'"):
        table.ms(BASIS)


def _csv(ms="1.0", columns=latency_table.COLUMNS, cells=("float32", "1", "3x3")):
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
        _csv(columns=latency_table.COLUMNS[:-1]),
        _csv(cells=("float32",)),
    ],
)
def test_damaged_files(tmp_path, text):
    path = tmp_path / "latency.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="(?s)`path`.*Received: .*latency.csv"):
        LatencyTable(path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "float16"}, "`dtype` must be one of .*Received: dtype='float16'"),
        ({"path": 5}, "Received: path=5"),
        ({"threads": 0}, "Received: threads=0"),
        ({"runs": 1.5}, "Received: runs=1.5"),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatencyTable(**arguments)


@pytest.mark.parametrize(
    ("chain", "message"), [((), "empty chain"), ((BASIS, SPEC), r"\(8, 8, 4\)")]
)
def test_impossible_chains(chain, message):
    measure = Measure()
    with pytest.raises(ValueError, match=f"(?s)`chains`.*{message}"):
        LatencyTable(measure=measure).ms_many([(SPEC,), chain])
    assert not measure.calls


def test_specification_of_a_layer():
    layer = GroupedConv2D(
        6, (3, 1), strides=(2, 1), padding="same", groups=2, use_bias=False
    )
    assert ConvSpec.of(layer, (9, 7, 4)) == ConvSpec(
        (3, 1), (2, 1), "same", (1, 1), (9, 7, 4), 6, 2, False
    )
    dilated = keras.layers.Conv2D(5, 3, dilation_rate=2)
    assert ConvSpec.of(dilated, (9, 7, 4)).dilation == (2, 2)


@pytest.mark.parametrize("shape", [(None, 8, 3), (8, 3), (1, 8, 8, 3)])
def test_unknown_sides(shape):
    layer = keras.layers.Conv2D(2, 3, name="conv")
    with pytest.raises(ValueError, match="(?s)`input_shape`.*'conv'.*Received: inp"):
        ConvSpec.of(layer, shape)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_specification_makes_such_a_layer(groups):
    spec = ConvSpec((3, 2), (2, 2), "valid", (1, 1), (9, 7, 4), 6, groups, True)
    layer = spec.layer()
    model = keras.Sequential([keras.Input(spec.input_shape), layer])
    assert ConvSpec.of(layer, spec.input_shape) == spec
    assert model.output_shape == (None, 4, 3, 6)
    assert [weight.shape for weight in layer.weights] == [(3, 2, 4 // groups, 6), (6,)]


@pytest.mark.parametrize("dtype", latency_table.DTYPES)
def test_measuring(dtype):
    """A convolution with 64 times the multiply-adds of another takes longer."""
    large = dataclasses.replace(SPEC, input_shape=(32, 32, 64), filters=64)
    small = dataclasses.replace(large, input_shape=(16, 16, 16), filters=16)
    grouped = dataclasses.replace(BASIS, groups=4, strides=(2, 2), padding="valid")
    mix = dataclasses.replace(MIX, input_shape=(3, 3, 4))
    table = LatencyTable(dtype=dtype, runs=10)
    times = table.ms_many([(large,), (small,), (grouped, mix)])
    assert all(0 < ms < math.inf for ms in times)
    assert times[0] > 2 * times[1]
    assert times == table.ms_many([(large,), (small,), (grouped, mix)])


def test_a_chain_takes_as_long_as_its_parts():
    """Up to what surrounds a call, which the chain has once."""
    spec = dataclasses.replace(SPEC, input_shape=(32, 32, 32))
    twice, once = LatencyTable(runs=25).ms_many([(spec, spec), (spec,)])
    assert 1.2 < twice / once < 3


@pytest.mark.parametrize(
    ("module", "extra"), [("tensorflow", "tensorflow"), ("ai_edge_litert", "litert")]
)
def test_missing_packages(module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"keras_roots\[{extra}\]"):
        LatencyTable().ms(SPEC)
