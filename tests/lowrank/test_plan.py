"""Plans: ranks by error, by hand and by budget, and what is worth it."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import RootAlexNet, RootConvNet, plan_decomposition
from keras_roots.benchmarking import latency_table
from keras_roots.benchmarking.latency_table import LatencyTable
from keras_roots.lowrank.methods import ALEXNET_LRA, METHODS


@pytest.fixture
def model(conv):
    """A dense, a grouped and a 1x1 convolution, as low in rank as random ones are."""
    inputs = keras.Input((12, 12, 6))
    x = conv(16, 3, name="dense", padding="same")(inputs)
    x = conv(24, (3, 5), groups=2, name="grouped", strides=(1, 2), padding="same")(x)
    x = conv(24, 1, name="pointwise", use_bias=False)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)), name="three")


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


@pytest.mark.parametrize("error", [0.05, 0.3, 0.6])
def test_least_rank_within_the_error(model, error):
    """Each group of the same rank, its error relative to the whole kernel."""
    for row in plan_decomposition(model, error, cost=None).layers:
        kernel = model.get_layer(row.name).get_weights()[0].astype("float64")
        parts = np.split(kernel.reshape(-1, kernel.shape[-1]), row.groups, axis=1)
        energies = sum(np.linalg.svd(part, compute_uv=False) ** 2 for part in parts)
        rank = row.rank // row.groups
        assert energies[rank:].sum() <= error * energies.sum()
        assert energies[rank - 1 :].sum() > error * energies.sum()
        assert row.error == pytest.approx(energies[rank:].sum() / energies.sum())


def test_what_does_not_pay_stays(model):
    plan = plan_decomposition(model, 0.05)
    row = _rows(plan)["pointwise"]
    assert (row.way, row.reason) == (None, "no fewer MACs")
    assert (row.macs_after, row.params_after) == (row.macs, row.params)
    assert row.rank > 12  # break-even
    assert all(row.macs_after <= row.macs for row in plan.layers)
    names = [layer.name for layer in plan.apply().layers]
    assert "pointwise_basis" not in names


def test_layers(model):
    plan = plan_decomposition(model, 0.6, layers=["grouped"], cost=None)
    assert [row.way for row in plan.layers] == [None, "rank", None]
    assert plan.layers[0].reason == "not chosen"
    plan = plan_decomposition(model, ranks={"dense": 4})
    assert [row.way for row in plan.layers] == ["rank", None, None]


@pytest.mark.parametrize(
    "method",
    [
        {"dense": "separable", "grouped": "svd"},
        lambda layer: {"dense": "separable", "grouped": "svd"}.get(layer.name),
    ],
)
def test_methods_by_layer(model, method):
    plan = plan_decomposition(model, 0.5, method, cost=None)
    assert [row.method for row in plan.layers] == ["separable", "svd", None]
    assert plan.layers[2].reason == "no method"
    names = {layer.name for layer in plan.apply().layers}
    assert {"dense_vertical", "grouped_basis"} <= names


def test_separable_leaves_1x1s_alone(model):
    plan = plan_decomposition(model, 0.5, "separable", cost=None)
    assert [row.way for row in plan.layers] == ["rank", "rank", None]
    assert plan.layers[2].reason == "a 1x1 is not separable"


def test_lra_of_the_paper():
    model = RootAlexNet(root=2, topology="column", include_top=False)
    shape = (227, 227, 3)
    ranks = {"conv1": 30, "conv2": 40, "conv3": 124, "conv4": 106, "conv5": 128}
    plan = plan_decomposition(model, method=ALEXNET_LRA, ranks=ranks, input_shape=shape)
    assert {row.name: row.method for row in plan.layers} == ALEXNET_LRA
    speedup = {row.name: row.params / row.params_after for row in plan.layers}
    assert speedup["conv3"] == pytest.approx(2.65, abs=0.01)
    assert speedup["conv4"] == pytest.approx(3.26, abs=0.01)


@pytest.mark.parametrize(("multiple", "ranks"), [(4, [8, 16]), (8, [8, 16])])
def test_ranks_in_multiples(model, multiple, ranks):
    error = {row.name: row.error for row in _at(model, [7, 14]).layers}
    bound = max(error["dense"], error["grouped"]) + 1e-6
    plan = plan_decomposition(
        model, bound, layers=["dense", "grouped"], rank_multiple=multiple
    )
    for row in plan.layers[:2]:
        assert (row.rank // row.groups) % multiple == 0


def test_no_multiple_beyond_break_even(model):
    """54 x 16: at 12 of rank, 840 weights for 864; 16 would be 1120."""
    error = _at(model, [9, 12]).layers[0].error + 1e-9
    for multiple, rank in ((1, 9), (4, 12), (16, 12)):
        plan = plan_decomposition(
            model, error, layers=["dense"], rank_multiple=multiple
        )
        assert plan.layers[0].rank == rank
        assert plan.layers[0].way == "rank"


def _at(model, ranks):
    names = ("dense", "grouped")
    return plan_decomposition(
        model, ranks=dict(zip(names, ranks, strict=True)), cost=None
    )


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
    lines = str(plan).splitlines()
    assert f"{plan.ms:.3f}" in lines[-1] and f"{plan.ms_after:.3f}" in lines[-1]
    with pytest.raises(
        ValueError, match="`budget` must be at least 0.[0-9]+: .*latency"
    ):
        plan_decomposition(model, budget=0.05, **arguments)


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
    assert f"{plan.macs:,}" in lines[-1] and f"{plan.macs_after:,}" in lines[-1]


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
    ("arguments", "message"),
    [
        ({"error": 0}, "`error` must be a number above 0 and below 1"),
        ({"error": 1.5}, "`error` must be a number above 0 and below 1"),
        ({"method": "magic"}, "`method` must be one of .*'pca'.*method='magic'"),
        ({"method": {"dense": "magic"}}, "layer 'dense'.*method='magic'"),
        ({"method": {"other": "pca"}}, "`method` must name.*dense.*'other'"),
        ({"method": {"pointwise": "separable"}}, "'pointwise' cannot be decomposed"),
        ({"method": 3}, "`method` must be one of"),
        ({"cost": "time"}, "`cost` must be one of.*cost='time'"),
        ({"ranks": {"other": 3}}, "`ranks` must name.*'other'"),
        ({"ranks": {}}, "`ranks` must name"),
        ({"ranks": 3}, "`ranks` must map"),
        ({"ranks": {"dense": 0}}, "from 1 to 16.*Received"),
        ({"ranks": {"dense": 17}}, r"from 1 to 16.*ranks\['dense'\]=17"),
        ({"ranks": {"dense": 2.5}}, "an integer from 1 to 16"),
        ({"ranks": {"grouped": 7}}, "a multiple of its 2 groups"),
        ({"ranks": {"pointwise": 4}, "method": "separable"}, "'pointwise' cannot"),
        ({"ranks": {"dense": 4}, "budget": 0.5}, "exclude each other"),
        ({"budget": 0.01}, "`budget` must be at least 0.[0-9]+: .*budget=0.01"),
        ({"budget": 0}, "`budget` must be a number above 0 and below 1"),
        ({"budget": 1}, "`budget` must be a number"),
        ({"budget": 100000}, "`budget` must be a number"),
        ({"budget": True}, "`budget` must be a number"),
        ({"budget": 1.5, "ranks": None}, "`budget` must be a number"),
        ({"rank_multiple": 0}, "`rank_multiple` must be an integer, 1 or more"),
        ({"rank_multiple": True}, "`rank_multiple` must be an integer"),
        ({"method": "responses"}, "`images` must be given"),
        ({"layers": ["other"]}, "`layers` must name.*Received: other"),
    ],
)
def test_bad_arguments(model, arguments, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        plan_decomposition(model, **arguments)


@pytest.mark.parametrize("method", METHODS)
def test_weights_that_are_not_finite(model, method):
    kernel, bias = model.get_layer("dense").get_weights()
    kernel[0, 0, 0, 0] = np.nan
    model.get_layer("dense").set_weights([kernel, bias])
    images = np.zeros((1, 12, 12, 6)) if method == "responses" else None
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


class _Scaled(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, 2 * kernel)


def test_a_convolution_of_another_class_stays():
    model = keras.Sequential([keras.Input((8, 8, 3)), _Scaled(16, 3, name="scaled")])
    (row,) = plan_decomposition(model, 0.5, cost=None).layers
    assert (row.way, row.reason) == (None, "a _Scaled")
    with pytest.raises(ValueError, match="'scaled' cannot be decomposed"):
        plan_decomposition(model, ranks={"scaled": 2})


def test_convnet_by_hand():
    """conv2: 16x16 positions, 25 x 32 x 32 weights, and 8 of rank instead."""
    plan = plan_decomposition(RootConvNet(), ranks={"conv2": 8})
    assert plan.macs - plan.macs_after == 256 * (25 * 32 * 32 - 25 * 32 * 8 - 8 * 32)
