import csv
import dataclasses
import itertools
import math
import sys

import keras
import pytest

from keras_roots import export
from keras_roots.benchmarking import machine
from keras_roots.benchmarking.latency_table import LatencyTable
from keras_roots.convolutions.description import Convolution
from keras_roots.layers.grouped_conv2d import GroupedConv2D

WHOLE = Convolution((3, 3, 16, 32), 1, (1, 1), "same", (1, 1), True, ((8, 8),))
BASIS = dataclasses.replace(WHOLE, kernel_shape=(3, 3, 16, 4), use_bias=False)
MIX = dataclasses.replace(WHOLE, kernel_shape=(1, 1, 4, 32))


class Measure:
    """Stands for the measurement: 1 ms, 2 ms, ... in the order of the calls."""

    def __init__(self):
        self.calls = []
        self._times = itertools.count(1)

    def __call__(self, chains, quantize, threads, runs):
        self.calls.append((list(chains), quantize, threads, runs))
        return [float(next(self._times)) for _ in chains]


def _several(count):
    return [
        dataclasses.replace(WHOLE, kernel_shape=(3, 3, 16, filters))
        for filters in range(1, 1 + count)
    ]


def test_chains_are_measured_once_in_the_order_given():
    measure = Measure()
    table = LatencyTable(quantize="int8", threads=2, runs=7, measure=measure)
    chains = [(WHOLE,), (BASIS, MIX), (WHOLE,)]
    assert table.ms(chains) == [1, 2, 1]
    assert measure.calls == [([(WHOLE,), (BASIS, MIX)], "int8", 2, 7)]
    assert table.ms([(BASIS, MIX), (BASIS,)]) == [2, 3]
    assert table.ms([(WHOLE,)]) == [1]
    assert [len(chains) for chains, *_ in measure.calls] == [2, 1]
    assert table.ms([]) == []


def test_many_chains_are_measured_some_at_a_time():
    measure = Measure()
    chains = [(spec,) for spec in _several(40)]
    assert LatencyTable(measure=measure).ms(chains) == list(range(1, 41))
    assert max(len(call[0]) for call in measure.calls) <= 16
    assert [chain for call in measure.calls for chain in call[0]] == chains


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(WHOLE)])
def test_every_field_tells_convolutions_apart(field):
    other = {
        "kernel_shape": (3, 1, 16, 32),
        "strides": (1, 2),
        "padding": "valid",
        "dilation": (2, 1),
        "inputs": ((8, 9),),
        "groups": 2,
        "use_bias": False,
        "kind": "Dense",
    }[field]
    table = LatencyTable(measure=Measure())
    assert table.ms([(WHOLE,)]) == [1]
    assert table.ms([(dataclasses.replace(WHOLE, **{field: other}),)]) == [2]
    assert table.ms([(WHOLE,)]) == [1]


def test_a_file_keeps_what_was_measured(tmp_path):
    path = tmp_path / "latency.csv"
    first = LatencyTable(path, measure=Measure())
    assert first.ms([(WHOLE,), (BASIS, MIX)]) == [1, 2]
    measure = Measure()
    again = LatencyTable(path, measure=measure)
    assert again.ms([(BASIS, MIX), (WHOLE,)]) == [2, 1]
    assert not measure.calls
    assert again.ms([(BASIS,)]) == [1]
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ms"] for row in rows] == ["1.00000", "2.00000", "1.00000"]
    assert {row["processor"] for row in rows} == {machine.processor()}
    assert rows[1]["convolutions"] == (
        "3x3 on 8x8x16, filters 4, groups 1, strides 1x1, dilation 1x1, same; "
        "1x1 on 8x8x4, filters 32, groups 1, strides 1x1, dilation 1x1, same, bias"
    )
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"quantize": "int8"}, {"threads": 2}])
def test_a_file_tells_how_a_network_runs(tmp_path, change):
    path = tmp_path / "latency.csv"
    LatencyTable(path, measure=Measure()).ms([(WHOLE,)])
    measure = Measure()
    LatencyTable(path, measure=measure, **change).ms([(WHOLE,)])
    assert len(measure.calls) == 1
    assert len(path.read_text().splitlines()) == 3


def test_two_tables_share_a_file(tmp_path):
    path = tmp_path / "latency.csv"
    one, other = (LatencyTable(path, measure=Measure()) for _ in range(2))
    one.ms([(WHOLE,)])
    other.ms([(BASIS,)])
    measure = Measure()
    LatencyTable(path, measure=measure).ms([(WHOLE,), (BASIS,)])
    assert not measure.calls


def test_what_was_measured_survives_a_failure(tmp_path):
    path = tmp_path / "latency.csv"
    measured = Measure()

    def measure(chains, *args):
        if measured.calls:
            raise OSError("stopped")
        return measured(chains, *args)

    with pytest.raises(OSError, match="stopped"):
        LatencyTable(path, measure=measure).ms([(s,) for s in _several(20)])
    assert len(path.read_text().splitlines()) == 17


def test_times_of_two_machines_do_not_mix(tmp_path, monkeypatch):
    path = tmp_path / "latency.csv"
    LatencyTable(path, measure=Measure()).ms([(WHOLE,)])
    monkeypatch.setattr(machine, "processor", lambda: "another CPU")
    table = LatencyTable(path, measure=Measure())
    assert table.ms([(WHOLE,)]) == [1]
    with pytest.raises(ValueError, match="(?s)`path`.*Received: .*'another CPU'"):
        table.ms([(BASIS,)])


def test_a_table_is_opened_once(tmp_path):
    table = LatencyTable(measure=Measure())
    assert LatencyTable.open(table) is table
    opened = LatencyTable.open(tmp_path / "latency.csv", "int8", 2)
    assert (opened.quantize, opened.threads) == ("int8", 2)
    assert LatencyTable.open(None).path is None


def test_groups_are_measured_at_all_that_they_can_merge_to():
    inputs = keras.Input((8, 8, 12))
    shared = GroupedConv2D(12, 3, groups=6, padding="same")
    first = GroupedConv2D(12, 1, groups=4)(inputs)
    dense = keras.layers.Conv2D(12, 1)(shared(first))
    model = keras.Model(inputs, shared(keras.layers.MaxPooling2D()(dense)))
    measure = Measure()
    table = LatencyTable(measure=measure)
    table.measure_groups(model)
    found = [(c.inputs[0][0], c.groups) for c in table.singles()]
    assert sorted(found) == sorted(
        [(8, g) for g in (1, 2, 4)]
        + [(side, g) for side in (8, 4) for g in (1, 2, 3, 6)]
    )
    assert len(measure.calls) == 3


@pytest.mark.parametrize("runs", [0, 1.5, True])
def test_impossible_arguments(runs):
    with pytest.raises(ValueError, match=f"Received: runs={runs}"):
        LatencyTable(runs=runs)


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda table: table.ms(None), "`chains` must be a list of chains"),
        (lambda table: table.ms([3]), "`chains` must hold chains of `Convolution`"),
        (lambda table: table.ms([("it",)]), "`chains` must hold chains of `Conv"),
        (lambda table: table.ms([()]), "`chains` must hold convolutions"),
        (lambda table: table.network_ms(None), "`target` must be a Keras model"),
        (lambda table: table.measure_groups(3), "`model` must be a functional"),
        (lambda table: LatencyTable(measure=3), "`measure` must be a function"),
        (lambda table: LatencyTable.open(3), "`path` must be a path or None"),
    ],
)
def test_what_is_no_argument(ask, text):
    with pytest.raises(ValueError, match=text):
        ask(LatencyTable(measure=Measure()))


def test_impossible_chains_are_not_measured():
    measure = Measure()
    with pytest.raises(ValueError, match="`chains`"):
        LatencyTable(measure=measure).ms([(WHOLE,), (BASIS, WHOLE)])
    assert not measure.calls


@pytest.mark.parametrize("quantize", [None, "dynamic", "int8"])
def test_measuring(quantize):
    """A convolution with 64 times the multiply-adds of another takes longer."""
    large = dataclasses.replace(WHOLE, kernel_shape=(3, 3, 64, 64), inputs=((32, 32),))
    small = dataclasses.replace(large, kernel_shape=(3, 3, 16, 16), inputs=((16, 16),))
    grouped = dataclasses.replace(
        BASIS, kernel_shape=(3, 3, 4, 4), groups=4, strides=(2, 2), padding="valid"
    )
    mix = dataclasses.replace(MIX, inputs=((3, 3),))
    table = LatencyTable(quantize=quantize, runs=10)
    times = table.ms([(large,), (small,), (grouped, mix)])
    assert all(0 < ms < math.inf for ms in times)
    assert times[0] > 2 * times[1]
    assert times == table.ms([(large,), (small,), (grouped, mix)])


@pytest.mark.parametrize("quantize", [None, "dynamic", "int8"])
@pytest.mark.parametrize("sides", [(1, 1), (30, 1), (4, 6)])
def test_measuring_dense_layers(quantize, sides, monkeypatch):
    """As Dense layers, on vectors, sequences and maps, alone and one after another."""
    converted = []
    convert = export.convert

    def spy(model, **kwargs):
        converted.append(model)
        return convert(model, **kwargs)

    monkeypatch.setattr(export, "convert", spy)
    shape = (1, 1, 24, 32)
    whole = Convolution(shape, 1, (1, 1), "valid", (1, 1), True, (sides,), "Dense")
    first = dataclasses.replace(whole, kernel_shape=(1, 1, 24, 4), use_bias=False)
    second = dataclasses.replace(whole, kernel_shape=(1, 1, 4, 32))
    table = LatencyTable(quantize=quantize, runs=5)
    assert all(0 < ms < math.inf for ms in table.ms([(whole,), (first, second)]))
    assert table.singles().keys() == {whole}
    assert {type(layer) for model in converted for layer in model.layers} == {
        keras.layers.Dense
    }
    inputs = {(1, 1): (24,), (30, 1): (30, 24), (4, 6): (4, 6, 24)}[sides]
    assert {model.input_shape[1:] for model in converted} == {inputs}


def test_a_chain_takes_as_long_as_its_parts():
    """Up to what surrounds a call, which the chain has once."""
    once = dataclasses.replace(WHOLE, kernel_shape=(3, 3, 32, 32), inputs=((32, 32),))
    both, one = LatencyTable(runs=25).ms([(once, once), (once,)])
    assert 1.2 < both / one < 3


def test_a_network_is_measured_as_its_layers_are():
    large, small = (
        keras.Sequential(
            [keras.Input((32, 32, 16)), keras.layers.Conv2D(filters, 5), *tail]
        )
        for filters, tail in ((128, [keras.layers.Conv2D(64, 5)]), (2, []))
    )
    table = LatencyTable()
    assert table.network_ms(large) > 2 * table.network_ms(small) > 0


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_networks_of_several_inputs_are_measured(quantize, several):
    assert LatencyTable(quantize=quantize).network_ms(several) > 0


@pytest.mark.parametrize(
    ("module", "extra"), [("tensorflow", "tensorflow"), ("ai_edge_litert", "litert")]
)
def test_missing_packages(module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"keras_roots\[{extra}\]"):
        LatencyTable().ms([(WHOLE,)])
