"""Plans: ranks by error, by hand and by budget, and what is worth it."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import RootConvNet, plan_decomposition
from keras_roots.benchmarking.latency_table import LatencyTable
from keras_roots.lowrank.methods import METHODS


def _rows(plan):
    return {row.name: row for row in plan.layers}


# Weights, biases and positions of the three layers.
COUNTS = {
    "dense": (54 * 16, 16, 144),
    "grouped": (15 * 8 * 24, 24, 72),
    "pointwise": (24 * 24, 0, 72),
}


def test_costs_by_hand(model):
    plan = plan_decomposition(
        model, ranks={"dense": 8, "grouped": 10, "pointwise": 20}, cost=None
    )
    after = {
        "dense": 54 * 8 + 8 * 16,
        "grouped": 15 * 8 * 10 + 5 * 24,
        "pointwise": 24 * 20 + 20 * 24,
    }
    for name, row in _rows(plan).items():
        weights, biases, positions = COUNTS[name]
        assert (row.macs, row.params) == (
            weights * positions + biases,
            weights + biases,
        )
        assert row.params_after == after[name] + biases
        assert row.macs_after == after[name] * positions + biases
        assert row.way == "rank" and not row.reason
    head = 72 * 24 * 3 + 3
    assert plan.macs == sum(w * p + b for w, b, p in COUNTS.values()) + head
    assert plan.params_after == sum(after.values()) + 40 + head


def test_what_does_not_pay_stays(model):
    plan = plan_decomposition(model, 0.05)
    row = _rows(plan)["pointwise"]
    assert (row.way, row.reason) == (None, "no fewer MACs")
    assert (row.macs_after, row.params_after) == (row.macs, row.params)
    assert row.rank > 12  # break-even
    assert all(row.macs_after <= row.macs for row in plan.layers)
    names = [layer.name for layer in plan.apply().layers]
    assert "pointwise_basis" not in names


class _Clock:
    """Measures 5 ms for some convolutions and 1 ms for the others."""

    def __init__(self, slow):
        self.slow = slow
        self.chains = []

    def __call__(self, chains, quantize, threads, runs):
        self.chains += chains
        return [
            sum(5.0 if self.slow(part) else 1.0 for part in chain) for chain in chains
        ]


def test_latency_decides(model):
    clock = _Clock(lambda part: part.kernel_shape[:2] == (3, 3) and part.filters == 16)
    table = LatencyTable(measure=clock)
    plan = plan_decomposition(model, 0.3, cost="latency", latency_table=table)
    rows = _rows(plan)
    assert (rows["dense"].ms, rows["dense"].ms_after) == (5.0, 2.0)
    assert rows["dense"].way == "rank"
    assert (rows["grouped"].ms, rows["grouped"].ms_after) == (1.0, 1.0)
    assert rows["grouped"].way is None
    assert rows["grouped"].reason == "not faster: 2.000 ms"
    (whole,), (first, second) = clock.chains[2:4]
    assert (whole.inputs, whole.channels) == (((12, 12),), 16)
    assert (whole.kernel_shape[:2], whole.strides) == ((3, 5), (1, 2))
    assert (first.filters, first.use_bias) == (rows["grouped"].rank, False)
    assert (second.inputs, second.channels) == (((12, 6),), rows["grouped"].rank)
    assert second.kernel_shape[:2] == (1, 1)
    assert (second.groups, second.use_bias) == (2, True)
    assert plan.ms is None and "not faster" in str(plan)


def test_every_call_is_timed_and_counted(conv, tmp_path):
    shared = conv(6, 3, padding="same", name="shared")
    inputs = keras.Input((12, 12, 6))
    model = keras.Model(inputs, shared(shared(inputs)))
    path = tmp_path / "times.csv"
    clock = _Clock(lambda part: False)
    arguments = {"ranks": {"shared": 2}, "cost": "latency"}
    table = LatencyTable(path, measure=clock)
    plan_decomposition(model, latency_table=table, **arguments)
    (row,) = plan_decomposition(model, latency_table=path, **arguments).layers
    assert (row.ms, row.ms_after, row.reason) == (2.0, 2.0, "not faster: 4.000 ms")
    assert row.macs == 2 * (144 * 54 * 6 + 6)


def test_table(model):
    plan = plan_decomposition(model, 0.05)
    lines = str(plan).splitlines()
    assert lines[0].split()[:5] == ["layer", "method", "groups", "rank", "error"]
    assert lines[2].split()[0] == "dense"
    assert lines[4].endswith("no fewer MACs")
    total = lines[lines.index(lines[1], 2) + 1]
    assert f"{plan.macs:,}" in total and f"{plan.macs_after:,}" in total
    assert lines[-1] == "stay, Dense: head"


def test_unknown_sides(conv):
    model = keras.Sequential([keras.Input((None, None, 6)), conv(16, 3, name="conv")])
    with pytest.raises(ValueError, match="input_shape"):
        plan_decomposition(model, 0.5)
    plan = plan_decomposition(model, ranks={"conv": 4}, input_shape=(10, 10, 6))
    assert plan.macs == 64 * 54 * 16 + 16
    assert plan.apply().output_shape == (None, None, None, 16)


class _Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("unused", "message"),
    [
        ({"images": np.zeros((2, 12, 12, 6))}, "`images` .* without a method by resp"),
        ({"latency_table": "times.csv"}, "`latency_table` .* without cost='latency'"),
    ],
)
def test_arguments_without_effect_are_refused(model, unused, message):
    with pytest.raises(ValueError, match=message):
        plan_decomposition(model, **unused)


@pytest.mark.parametrize("method", METHODS)
def test_weights_that_are_not_finite(model, method):
    kernel, bias = model.get_layer("dense").get_weights()
    kernel[0, 0, 0, 0] = np.nan
    model.get_layer("dense").set_weights([kernel, bias])
    images = np.zeros((1, 12, 12, 6)) if METHODS[method].by_responses else None
    with pytest.raises(ValueError, match="Received: ") as raised:
        plan_decomposition(model, method=method, images=images)
    assert "'dense'" in str(raised.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (_Subclassed(), "functional or Sequential"),
        (keras.Sequential([keras.Input((4,)), layers.Dense(2)]), "no 2D convolutions"),
    ],
)
def test_models_that_cannot_be(model, message):
    with pytest.raises(ValueError, match=message):
        plan_decomposition(model)


def test_convnet_by_hand():
    """conv2: 16x16 positions, 25 x 32 x 32 weights, and 8 of rank instead."""
    plan = plan_decomposition(RootConvNet(), ranks={"conv2": 8})
    assert plan.macs - plan.macs_after == 256 * (25 * 32 * 32 - 25 * 32 * 8 - 8 * 32)
