"""Groups and ranks for one budget, against all choices that there are."""

import itertools
import math

import helpers
import keras
import numpy as np
import pytest

from keras_roots import profile
from keras_roots.benchmarking import LatencyTable
from keras_roots.compression.options import layer_options
from keras_roots.compression.planner import Planner, plan_compression


@pytest.mark.parametrize("budget", [0.4, 0.6, 0.8])
def test_no_choice_within_the_budget_loses_less(budget):
    model, images = helpers.spatial_pair(), helpers.normal_images()
    how = {"rank_multiple": 4, "groups": 8, "judge": "responses"}
    options = layer_options(model, images, **how)
    total = profile(model).macs
    plan = plan_compression(model, images, budget, cost="macs", **how)
    assert plan.macs_after <= budget * total
    rest = total - sum(choices[0].cost.macs for choices in options.values())
    best = min(
        sum(-math.log1p(-option.error) for option in chosen)
        for chosen in itertools.product(*options.values())
        if rest + sum(option.cost.macs for option in chosen) <= budget * total
    )
    found = sum(-math.log1p(-row.error) for row in plan.layers)
    # Lagrangian relaxation finds the convex hull of what is possible.
    assert best <= found + 1e-9 and found <= 1.5 * best + 1e-9


def test_latencies_come_from_the_table(tmp_path):
    """A table that says that 1x1s are free and groups do not pay at all."""
    asked = []

    def measure(chains, quantize, threads, runs):
        asked.extend(chains)
        return [
            1e-4 + sum(max(c.kernel_shape[:2]) > 1 and c.filters / 16 for c in chain)
            for chain in chains
        ]

    table = LatencyTable(tmp_path / "table.csv", measure=measure)
    planner = Planner(
        helpers.spatial_pair(), helpers.normal_images(), latency_table=table
    )
    planner.total = 4.0  # of which the two spatial ones are 2
    plan = planner.plan(0.9)
    assert {row.way for row in plan.layers} == {None, "rank"}
    assert plan.ms_after <= 0.9 * 4 + 1e-3
    halved = planner.plan(0.9, scale=0.5)  # savings are worth half: twice as much goes
    saved = sum(row.ms - row.ms_after for row in halved.layers)
    assert saved >= 0.8 - 1e-3
    assert asked and (tmp_path / "table.csv").exists()


def test_groups_that_are_slow_are_not_chosen(monkeypatch):
    """Where two groups take longer than none, four are fast, and more slower again."""
    helpers.made_up_machine(monkeypatch)
    asked = set()

    def measure(chains, quantize, threads, runs):
        asked.update(chain[0].groups for chain in chains)
        times = {1: 10.0, 2: 12.0, 4: 1.0, 8: 5.0}
        return [times[chain[0].groups] for chain in chains]

    planner = Planner(
        _three_spatial(),
        np.random.default_rng(0).normal(size=(20, 16, 16, 3)),
        latency_table=LatencyTable(measure=measure),
        ways=("groups",),
        layers="spatial",
    )
    planner.total = 30.0
    plan = planner.plan(0.5)
    assert asked == {1, 2, 4, 8}
    assert set(plan.groups.values()) == {4}
    assert plan.ms_after <= 15.0


def _three_spatial():
    """Three convolutions between 1x1s, of which the middle one holds two blocks."""
    layers = [keras.Input((16, 16, 3))]
    for index in range(3):
        layers += [
            keras.layers.Conv2D(8, 1, name=f"point{index}"),
            keras.layers.Conv2D(8, 3, padding="same", name=f"conv{index}"),
        ]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    generator = np.random.default_rng(0)
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        layer.set_weights([generator.normal(size=shape) for shape in shapes])
    middle = model.get_layer("conv1")
    kernel, bias = middle.get_weights()
    kernel[:, :, :4, 4:] = kernel[:, :, 4:, :4] = 0
    middle.set_weights([kernel, bias])
    return model


@pytest.mark.parametrize("judge", ["responses", "outputs"])
@pytest.mark.parametrize("halved", [1, 2])
def test_the_budget_takes_the_layers_that_lose_least(halved, judge):
    """conv1 loses nothing by two groups."""
    model = _three_spatial()
    images = np.random.default_rng(0).normal(size=(20, 16, 16, 3))
    budget = 1 - (halved * 9 * 64 * 256 // 2) / profile(model).macs + 1e-4
    plan = plan_compression(
        model,
        images,
        budget,
        cost="macs",
        ways=("groups",),
        groups=2,
        judge=judge,
    )
    assert plan.groups["conv1"] == 2 and len(plan.groups) == halved
    assert plan.macs_after <= budget * plan.macs


@pytest.mark.parametrize(
    ("judge", "grouped"), [("responses", "needed"), ("outputs", "other")]
)
def test_outputs_tell_which_layers_the_network_needs(judge, grouped):
    """One loses much of its responses, but goes nowhere; the other loses little."""
    inputs = keras.Input((8, 8, 4))
    first = keras.layers.Conv2D(4, 1)(inputs)
    both = [
        keras.layers.Conv2D(4, 3, padding="same", name=name)(first)
        for name in ("needed", "other")
    ]
    outputs = keras.layers.Dense(3, activation="softmax", name="end")(
        keras.layers.Concatenate()(both)
    )
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(0)
    kernels = rng.normal(size=(2, 3, 3, 4, 4))
    kernels[0, :, :, :2, 2:] *= 0.2
    kernels[0, :, :, 2:, :2] *= 0.2
    for name, kernel in zip(("needed", "other"), kernels, strict=True):
        model.get_layer(name).set_weights([kernel, np.zeros(4)])
    head, bias = model.get_layer("end").get_weights()
    head[4:] = 0
    model.get_layer("end").set_weights([head, bias])
    plan = plan_compression(
        model,
        rng.normal(size=(30, 8, 8, 4)),
        0.8,
        cost="macs",
        ways=("groups",),
        groups=2,
        judge=judge,
    )
    assert plan.groups == {grouped: 2}


@pytest.mark.parametrize("judge", ["responses", "outputs"])
def test_weights_that_are_no_numbers_do_not_keep_a_budget_from_ending(judge):
    model, images = helpers.spatial_pair(), helpers.normal_images(4)
    layer = model.get_layer("conv1")
    layer.set_weights([np.full(w.shape, np.nan) for w in layer.get_weights()])
    with pytest.raises(ValueError, match="kernel of layer .conv1. must be finite"):
        plan_compression(model, images, cost="macs", ways=("groups",), judge=judge)


def test_channels_without_a_common_divisor_get_no_groups():
    layers = [keras.layers.Conv2D(n, 3, padding="same") for n in (7, 11)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    with pytest.raises(ValueError, match="`budget` cannot be met: none of"):
        plan_compression(
            model, helpers.normal_images(4), 0.9, cost="macs", ways=("groups",)
        )


def test_the_least_budget_that_is_named_can_be_met():
    model, images = helpers.spatial_pair(), helpers.normal_images()
    with pytest.raises(ValueError, match="`budget` must be at least") as error:
        plan_compression(model, images, 0.01, cost="macs")
    least = float(str(error.value).split("at least ")[1].split(":")[0])
    plan = plan_compression(model, images, least, cost="macs")
    assert plan.macs_after <= least * plan.macs


def test_a_network_without_spatial_convolutions_has_ranks_only():
    model = keras.Sequential(
        [keras.Input((8, 8, 32)), keras.layers.Conv2D(32, 1, name="point")]
    )
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 32))
    for multiple, rank in ((None, 9), (8, 8)):
        plan = plan_compression(model, images, 0.6, cost="macs", rank_multiple=multiple)
        assert plan.ranks == {"point": rank} and not plan.groups


@pytest.mark.parametrize(
    ("budget", "kwargs", "message"),
    [
        (0, {}, "`budget` must be a number above 0 and below 1. Received: budget=0"),
        (1.0, {}, "`budget` must be a number"),
        (0.01, {}, r"`budget` must be at least 0\.\d+: .* Received: budget=0.01"),
        (0.5, {"cost": "watts"}, "`cost` must be one of"),
        (0.5, {"quantize": "int4"}, "`quantize` must be one of"),
        (
            0.5,
            {"ways": ("prune",)},
            r"`ways` must be of .* Received: ways=\(.prune.,\)",
        ),
        (0.5, {"ways": ()}, "`ways` must be of"),
        (0.5, {"ways": "groups"}, "`ways` must be of .* Received: ways='groups'"),
        (0.5, {"ways": None}, "`ways` must be of"),
        (0.5, {"groups": 0}, "`groups` must be an integer, 1 or more.*groups=0"),
        (0.5, {"groups": 2.5}, "`groups` must be an integer, 1 or more"),
        (0.5, {"rank_multiple": 0}, "`rank_multiple` must be an integer, 1 or more"),
        (0.5, {"rank_multiple": "8"}, "`rank_multiple` must be an integer, 1 or more"),
        (0.5, {"seed": -1}, "`seed` must be an integer"),
        (0.5, {"threads": 0}, "`threads` must be an integer, 1 or more"),
        (0.5, {"judge": "energy"}, "`judge` must be one of"),
        (0.5, {"cost": ["macs"]}, "`cost` must be one of"),
        (0.5, {"quantize": ["int8"]}, "`quantize` must be one of"),
        (0.5, {"ways": ("groups",), "groups": 1}, "`budget` cannot be met: none of"),
        (0.5, {"layers": ["conv9"]}, "`layers` must name"),
    ],
)
def test_bad_arguments(budget, kwargs, message):
    with pytest.raises(ValueError, match=message):
        plan_compression(
            helpers.spatial_pair(),
            helpers.normal_images(4),
            budget,
            **{"cost": "macs", **kwargs},
        )


def test_bad_images():
    with pytest.raises(ValueError, match="`images`"):
        plan_compression(helpers.spatial_pair(), np.zeros((3, 9, 9, 3)), cost="macs")


def test_a_budget_is_checked_before_the_work(monkeypatch):
    monkeypatch.setattr("keras_roots.compression.planner.Planner", None)
    with pytest.raises(ValueError, match="`budget` must be a number"):
        plan_compression(helpers.spatial_pair(), helpers.normal_images(4), 2)


@pytest.mark.parametrize("ways", [("groups",), ("rank",)])
def test_models_of_unknown_sides(ways):
    fixed = helpers.spatial_pair()
    layers = [keras.Input((None, None, 3)), *fixed.layers]
    model = keras.Sequential(layers, name="unknown")
    with pytest.raises(ValueError, match="Pass `input_shape`"):
        plan_compression(model, helpers.normal_images(4), 0.6, cost="macs", ways=ways)
    known = {"cost": "macs", "ways": ways, "input_shape": (8, 8, 3)}
    plan = plan_compression(model, helpers.normal_images(), 0.6, **known)
    same = plan_compression(fixed, helpers.normal_images(), 0.6, **known)
    assert plan.macs_after == same.macs_after
    for made in (plan.apply(), plan.sketch()):
        assert profile(made, (8, 8, 3)).macs <= 0.6 * plan.macs


def _blocks():
    """As in ConvNeXt: a depthwise convolution, and Dense layers on its map."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 2, strides=2, name="stem")(inputs)
    y = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    y = keras.layers.Dense(64, activation="gelu", name="wide")(y)
    x = x + keras.layers.Dense(16, name="narrow")(y)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="head")(x))


@pytest.mark.parametrize("judge", ["responses", "outputs"])
def test_hidden_dense_layers_get_lower_ranks(judge):
    model, images = _blocks(), helpers.normal_images(60)
    plan = plan_compression(
        model, images, 0.6, cost="macs", judge=judge, rank_multiple=1
    )
    assert [row.name for row in plan.layers] == ["stem", "wide", "narrow"]
    assert plan.ranks.keys() & {"wide", "narrow"}
    assert plan.others == {model.layers[2].name: "depthwise", "head": "Dense"}
    small = plan.apply()
    found = profile(small)
    assert (found.macs, found.params) == (plan.macs_after, plan.params_after)
    assert found.macs <= 0.6 * profile(model).macs
    exact, near = (each.predict(images, verbose=0) for each in (model, small))
    assert ((exact - near) ** 2).mean() < 0.5 * exact.var()


def test_dense_layers_are_timed_as_dense_layers():
    """Dense layers are slow here, and convolutions are free."""
    asked = []

    def measure(chains, quantize, threads, runs):
        asked.extend(chains)
        return [
            1e-4 + sum(math.prod(c.kernel_shape) * (c.kind == "Dense") for c in chain)
            for chain in chains
        ]

    table = LatencyTable(measure=measure)
    planner = Planner(_blocks(), helpers.normal_images(60), latency_table=table)
    planner.total = 2.0 * 16 * 64
    plan = planner.plan(0.7)
    assert set(plan.ranks) <= {"wide", "narrow"} and plan.ranks
    chains = {tuple(c.kind for c in chain) for chain in asked}
    assert ("Dense",) in chains and ("Dense", "Dense") in chains
    assert all(len(set(kinds)) == 1 for kinds in chains)
    assert {c.inputs for chain in asked for c in chain} == {((8, 8),), ((4, 4),)}


def test_groups_alone_leave_dense_layers():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)]
    )
    with pytest.raises(ValueError, match="no 2D convolutions"):
        plan_compression(model, np.zeros((4, 4)), cost="macs", ways=("groups",))


@pytest.mark.parametrize("judge", ["responses", "outputs"])
def test_dense_layers_wait_for_as_many_answers_as_they_have_units(judge):
    """To fewer images than units, a low rank answers as the layer does."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 3, name="conv")(inputs)
    x = keras.layers.Dense(64, name="map")(x)
    x = keras.layers.Dense(64, name="wide")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.Dense(4, name="head")(x))
    for count, stays in ((50, True), (70, False)):
        images = helpers.normal_images(count)
        plan = plan_compression(model, images, 0.95, cost="macs", judge=judge)
        rows = {row.name: row for row in plan.layers}
        few = "50 answers to the images, fewer than its 64 units"
        assert (rows["wide"].reason == few) == stays
        assert rows["map"].reason != few
