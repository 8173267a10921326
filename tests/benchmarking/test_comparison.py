import csv
import dataclasses
import itertools

import helpers
import numpy as np
import pytest

from keras_roots.benchmarking import timers
from keras_roots.benchmarking.comparison import (
    benchmark,
    compare,
    format_latencies,
    write_csv,
)
from keras_roots.benchmarking.machine import processor
from keras_roots.benchmarking.timers import Load


@pytest.fixture
def clock(monkeypatch):
    """Timers that take given times and note who ran when, in place of the real ones."""
    ran = []

    class Timer:
        macs, file_size, undelegated = 123, 456, {"SOFTMAX": 2}

        def __init__(self, case, stack):
            self.name, self.seconds = (
                case.target.name,
                itertools.cycle(SECONDS[case.target.name]),
            )
            stack.callback(ran.append, f"close {self.name}")

        def time(self, count):
            ran.append((self.name, count))
            if count in (1, 7):  # waking up, warming up
                return np.zeros(count)
            return np.full(count, next(self.seconds))

        def load(self):
            ran.append(f"load {self.name}")
            return next(LOADS[self.name])

    monkeypatch.setattr(timers, "make_timer", Timer)
    return ran


# Seconds of each turn. The machine is twice as slow in the second one.
SECONDS = {"a": [1.0, 2.0, 1.0], "b": [0.5, 1.0, 0.8]}
# The second time to load "a" is slow; the system does not tell of the memory of "b".
LOADS = {
    "a": itertools.cycle([Load(20.5, 7.5, 40), Load(90, 8.5, 41), Load(21.5, 9.5, 42)]),
    "b": itertools.cycle([Load(3, None, None)]),
}


def _networks():
    return {name: helpers.grouped(name) for name in "ab"}


def test_networks_take_turns(clock):
    compare(
        _networks(),
        warmup=7,
        runs=6,
        rounds=3,
    )
    turn = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    closed = ["close b", "close a"]
    assert clock == [("a", 7), ("b", 7), *turn, *turn, *turn, *closed]


def test_ratios_compare_within_a_turn(clock):
    a, b = compare(
        _networks(),
        warmup=7,
        runs=5,
        rounds=3,
    )
    assert (a.ratio, a.ratio_low, a.ratio_high) == (1.0, 1.0, 1.0)
    assert (b.ratio, b.ratio_low, b.ratio_high) == (0.5, 0.5, pytest.approx(0.8))
    assert (a.median_ms, b.median_ms) == (1000.0, 800.0)
    assert (a.p10_ms, a.p90_ms) == (1000.0, 2000.0)
    assert a.runs == b.runs == 6
    assert (a.macs, a.file_size) == (123, 456)


def test_networks_load_in_turns_too(clock):
    a, b = compare(_networks(), warmup=7, runs=2, rounds=1, memory=True)
    turn = ["load a", "load b"]
    assert clock[:9] == [("a", 7), ("b", 7), *turn, *turn, *turn, ("a", 1)]
    assert (a.load_ms, a.memory_mb, a.peak_mb) == (21.5, 8.5, 41.0)
    assert (b.load_ms, b.memory_mb, b.peak_mb) == (3.0, None, None)
    text = format_latencies([a, b])
    assert "load ms" in text and "peak MB" in text and "21.5" in text


def test_memory_is_not_measured_unasked(clock):
    (a,) = compare({"a": helpers.grouped("a")}, warmup=7, runs=2, rounds=1)
    assert (a.load_ms, a.memory_mb, a.peak_mb) == (None, None, None)
    assert "load ms" not in str(a) and "MB" not in str(a)
    assert not any("load" in step for step in clock)


def test_operations_off_the_delegate_are_told(clock):
    lines = []
    compare(
        {"a": helpers.grouped("a")}, warmup=7, runs=2, rounds=1, progress=lines.append
    )
    assert lines[0] == "loaded a (1 of 1); not on the CPU delegate: 2 SOFTMAX"


def test_results_are_a_table_and_a_csv_file(clock, tmp_path):
    rows = compare(
        _networks(),
        warmup=7,
        runs=6,
        rounds=3,
    )
    text = format_latencies(rows)
    assert "0.500" in text and "(0.500-0.800)" in text
    assert processor() in text and "keras" in text
    path = tmp_path / "times.csv"
    write_csv(rows, path)
    with open(path, newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["name"] for row in written] == ["a", "b"]
    assert float(written[1]["median_ms"]) == rows[1].median_ms
    assert written[0]["processor"] == processor()
    assert set(written[0]) == {f.name for f in dataclasses.fields(rows[0])}


def test_one_network_is_measured_by_name(clock, tmp_path):
    row = benchmark(helpers.grouped("a"), warmup=7, runs=15)
    assert row.name == "a"
    assert "1000.000" in str(row)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"runs": 0}, "`runs` must be an integer, 1 or more.*0"),
        ({"runs": True}, "`runs` must be an integer, 1 or more.*True"),
        ({"warmup": -1}, "`warmup` must be an integer, 0 or more"),
        ({"rounds": 1.5}, "`rounds` must be an integer, 1 or more"),
        ({"progress": 3}, "`progress` must be a function.*=3"),
    ],
)
def test_impossible_arguments_are_refused(clock, arguments, text):
    with pytest.raises(ValueError, match=text):
        compare({"a": helpers.grouped("a")}, **arguments)


@pytest.mark.parametrize("targets", [{}, None, ["net.tflite"]])
def test_nothing_to_compare(targets):
    with pytest.raises(ValueError, match="`targets` must hold a network or more"):
        compare(targets)


@pytest.mark.parametrize("target", [None, 3, ["net.tflite"]])
def test_nothing_to_measure(target):
    with pytest.raises(ValueError, match="`target` must be a Keras model, or the path"):
        benchmark(target)


def test_nothing_to_show():
    with pytest.raises(ValueError, match="`rows` must be a measurement or more"):
        format_latencies([])
