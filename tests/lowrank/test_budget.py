"""Ranks for a budget of multiply-adds or of time."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import plan_decomposition
from keras_roots.benchmarking import latency_table
from keras_roots.benchmarking.latency_table import LatencyTable


@pytest.mark.parametrize("method", ["pca", "kmeans"])
@pytest.mark.parametrize("part", [0.5, 0.8])
def test_budget(model, part, method):
    plan = plan_decomposition(model, method=method, budget=part)
    assert 0.85 * part < plan.macs_after / plan.macs <= part
    whole = plan_decomposition(model, method=method, budget=part, cost=None)
    assert len(whole.ranks) == 3 and whole.macs_after / whole.macs <= part


def test_a_budget_starves_no_layer(conv):
    """Errors multiply: a layer that keeps nothing is not made good by whole ones."""
    inputs = keras.Input((32, 32, 3))
    x = conv(32, 5, name="small", padding="same")(inputs)
    x = conv(32, 5, name="large", padding="same", strides=2)(x)
    x = conv(64, 5, name="last", padding="same", strides=2)(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    plan = plan_decomposition(model, budget=0.5)
    kept = np.prod([1 - (row.error or 0.0) for row in plan.layers])
    spectra = {
        name: np.linalg.svd(
            keras.ops.convert_to_numpy(model.get_layer(name).kernel)
            .astype("float64")
            .reshape(-1, model.get_layer(name).filters),
            compute_uv=False,
        )
        ** 2
        for name in ("small", "large", "last")
    }
    best = 0.0
    costs = {"small": (1024, 75, 32), "large": (256, 800, 32), "last": (64, 800, 64)}
    for part in np.linspace(0.05, 0.95, 19):  # the same part of every layer's rank
        macs, energy = 0, 1.0
        for name, (positions, rows, filters) in costs.items():
            rank = max(1, int(part * filters))
            macs += positions * rank * (rows + filters)
            energy *= spectra[name][:rank].sum() / spectra[name].sum()
        if macs <= 0.5 * plan.macs:
            best = max(best, energy)
    assert kept >= best > 0
    assert max(row.error or 0.0 for row in plan.layers) < 0.9


def test_an_ample_budget_leaves_layers_whole(model):
    plan = plan_decomposition(model, budget=0.9999)
    assert len(plan.ranks) == 1
    for row in plan.layers:
        if row.way is None:
            assert row.reason == "the budget has room for it"
            assert (row.macs_after, row.params_after) == (row.macs, row.params)


def test_budget_in_multiples(model):
    plan = plan_decomposition(model, budget=0.6, rank_multiple=4)
    for row in plan.layers:
        assert row.way is None or row.rank // row.groups % 4 == 0


def test_a_budget_of_time(model, monkeypatch):
    """A machine that takes a millisecond per thousand multiply-adds, and 100 more."""

    def measure(chains, quantize, threads, runs):
        return [sum(part.cost.macs for part in chain) / 1e3 for chain in chains]

    def measure_network(network, quantize, threads, input_shape):
        return 100 + plan_decomposition(network, 0.5).macs / 1e3

    monkeypatch.setattr(latency_table, "measure_network", measure_network)
    table = LatencyTable(measure=measure)
    arguments = {"cost": "latency", "latency_table": table}
    plan = plan_decomposition(model, budget=0.6, **arguments)
    assert plan.ms == pytest.approx(100 + plan.macs / 1e3)
    assert plan.ms_after == pytest.approx(100 + plan.macs_after / 1e3)
    assert 0.5 < plan.ms_after / plan.ms <= 0.6
    assert plan.ranks
    (total,) = (line for line in str(plan).splitlines() if line.startswith("whole"))
    assert f"{plan.ms:.3f}" in total and f"{plan.ms_after:.3f}" in total
    with pytest.raises(
        ValueError, match="`budget` must be at least 0.[0-9]+: .*latency"
    ):
        plan_decomposition(model, budget=0.05, **arguments)
