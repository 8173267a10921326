"""Groups chosen layer by layer."""

import itertools
import math

import keras
import numpy as np
import pytest

from keras_roots.benchmarking.latency_table import LatencyTable
from keras_roots.groups import budget
from keras_roots.groups.plan import plan_rootify
from keras_roots.groups.stages import spatial_convolutions


def _model(seed=0):
    """Three convolutions between 1x1s, of which the middle one holds two blocks."""
    layers = [keras.Input((16, 16, 3))]
    for index, filters in enumerate((8, 8, 8)):
        layers += [
            keras.layers.Conv2D(8, 1, name=f"point{index}"),
            keras.layers.Conv2D(filters, 3, padding="same", name=f"conv{index}"),
        ]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        layer.set_weights([generator.normal(size=shape) for shape in shapes])
    middle = model.get_layer("conv1")
    kernel, bias = middle.get_weights()
    kernel[:, :, :4, 4:] = kernel[:, :, 4:, :4] = 0
    middle.set_weights([kernel, bias])
    return model


def _kept(kernel, groups):
    """The most energy that any groups of channels and filters keep: all are tried."""
    energy = np.square(kernel).sum(axis=(0, 1))
    size = len(energy) // groups
    best = 0.0
    for inputs in _partitions(range(8), size):
        rows = [energy[list(part)].sum(axis=0) for part in inputs]
        for filters in _partitions(range(8), size):
            sums = np.array(
                [[row[list(part)].sum() for part in filters] for row in rows]
            )
            for order in itertools.permutations(range(groups)):
                best = max(best, sums[range(groups), order].sum())
    return best / energy.sum()


def _partitions(items, size):
    items = list(items)
    if not items:
        yield []
        return
    for rest in itertools.combinations(items[1:], size - 1):
        part = (items[0], *rest)
        others = [item for item in items if item not in part]
        for more in _partitions(others, size):
            yield [part, *more]


def test_the_budget_takes_the_layers_that_lose_least():
    """conv1 loses nothing by two groups; conv0 takes the image's 1x1 and may go too."""
    model = _model()
    macs = plan_rootify(model, 1).macs
    layer = 9 * 64 * 256
    for halved in (1, 2):
        plan = plan_rootify(model, 2, budget=1 - (halved * layer // 2) / macs + 1e-4)
        groups = {row.name: row.groups for row in plan.layers}
        assert groups["conv1"] == 2
        assert sum(count == 2 for count in groups.values()) == halved
        assert plan.macs_after <= plan.macs * (1 - (halved * layer // 2) / macs + 1e-4)


def test_it_is_the_best_of_all_choices():
    model = _model(seed=1)
    budget = 0.7
    plan = plan_rootify(model, 2, budget=budget)
    kernels = {
        row.name: model.get_layer(row.name).get_weights()[0] for row in plan.layers
    }
    loss = {
        (name, groups): -math.log(_kept(kernel, groups))
        for name, kernel in kernels.items()
        for groups in (1, 2)
    }
    saved = 9 * 64 * 256 // 2
    need = math.ceil(plan.macs * (1 - budget) / saved)
    choices = [
        choice
        for choice in itertools.product((1, 2), repeat=3)
        if sum(groups == 2 for groups in choice) >= need
    ]
    best = min(
        choices, key=lambda c: sum(loss[k] for k in zip(kernels, c, strict=True))
    )
    assert tuple(row.groups for row in plan.layers) == best


def test_latency_decides_by_the_table():
    """Where two groups take longer than none, and four are fast."""
    asked = []

    def measure(chains, dtype, threads, runs):
        asked.extend(spec.groups for (spec,) in chains)
        return [{1: 10.0, 2: 12.0, 4: 1.0, 8: 5.0}[spec.groups] for (spec,) in chains]

    table = LatencyTable(measure=measure)
    model = _model()
    groups = budget.groups_within(
        model,
        spatial_convolutions(model),
        8,
        0.5,
        "latency",
        total=30.0,
        table=table,
    )
    assert set(asked) == {1, 2, 4, 8}
    assert set(groups.values()) <= {1, 4, 8}
    times = {1: 10.0, 4: 1.0, 8: 1.0}  # eight groups run as four: packed
    assert sum(times[count] for count in groups.values()) <= 15.0


def test_what_mixes_the_groups_costs_too():
    """Without 1x1s between them; a budget that groups alone would meet."""
    layers = [keras.Input((16, 16, 3)), keras.layers.Conv2D(8, 1)]
    layers += [keras.layers.Conv2D(8, 3, padding="same", name=f"c{i}") for i in (0, 1)]
    model = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(2)])
    plain = plan_rootify(model, 8, budget=0.5)
    assert plain.macs_after <= 0.5 * plain.macs
    mixed = plan_rootify(model, 8, budget=0.5, mix=True)
    assert mixed.macs_after <= 0.5 * mixed.macs
    assert [row.mix for row in mixed.layers] == [True, False]
    with pytest.raises(ValueError, match="`budget` must be at least"):
        plan_rootify(model, 8, budget=0.17, mix=True)
    assert plan_rootify(model, 8, budget=0.17).macs_after <= 0.17 * plain.macs


@pytest.mark.parametrize("budget", [0, 1, -0.5, 3, "half"])
def test_budgets_that_are_no_parts(budget):
    with pytest.raises(ValueError, match="`budget` must be a part"):
        plan_rootify(_model(), budget=budget)


def test_budgets_that_cannot_be_met():
    model = _model()
    with pytest.raises(ValueError, match="`budget` must be at least 0.[0-9]+") as error:
        plan_rootify(model, 2, budget=0.1)
    least = float(str(error.value).split("at least ")[1].split(":")[0])
    assert (
        plan_rootify(model, 2, budget=least).macs_after
        <= least * plan_rootify(model, 1).macs
    )
    with pytest.raises(ValueError, match="`cost` must be one of.*energy"):
        plan_rootify(model, 2, budget=0.5, cost="energy")


@pytest.mark.parametrize("root", [1, 2])
def test_a_budget_where_no_groups_save_anything(root):
    """No groups, or channels without a common divisor."""
    filters = (4, 4) if root == 1 else (7, 11)
    layers = [keras.layers.Conv2D(n, 3, padding="same") for n in filters]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    with pytest.raises(ValueError, match="`budget` cannot be met by filter groups"):
        plan_rootify(model, root, budget=0.9)


def test_weights_that_are_no_numbers_do_not_keep_a_budget_from_ending():
    model = _model()
    for layer in model.layers:
        layer.set_weights([np.full(w.shape, np.nan) for w in layer.get_weights()])
    images = np.zeros((4, *model.input_shape[1:]), "float32")
    with pytest.raises(ValueError, match="`model` must answer `images` with finite"):
        plan_rootify(model, 2, budget=0.7, images=images)
    with pytest.raises(ValueError, match="`model` must have finite weights"):
        plan_rootify(model, 2, budget=0.7)


def test_1x1s_that_are_not_needed_leave_their_cost_to_the_layers():
    """Two layers that lose nothing, with one between them: half of each is the budget.

    Were 1x1s counted behind both, a third layer would have to get groups.
    """
    layers = [keras.Input((16, 16, 8))]
    layers += [
        keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name=f"c{i}")
        for i in range(5)
    ]
    head = [keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([*layers, *head])
    rng = np.random.default_rng(0)
    for name in ("c1", "c3"):
        kernel = rng.normal(size=(3, 3, 8, 8))
        kernel[:, :, :4, 4:] = kernel[:, :, 4:, :4] = 0
        model.get_layer(name).set_weights([kernel])
    dense = plan_rootify(model, 1).macs
    need = dense - 9 * 64 * 256
    plan = plan_rootify(model, 2, budget=(need + 1) / dense, mix=True)
    assert [row.groups for row in plan.layers] == [2, 1, 2, 1]
    assert not any(row.mix for row in plan.layers)
    assert plan.macs_after == need


def test_images_tell_which_layers_the_network_needs():
    """One keeps half of its energy, but goes nowhere; the other keeps nearly all."""
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
    images = rng.normal(size=(30, 8, 8, 4))
    for given, grouped in ((None, "needed"), (images, "other")):
        plan = plan_rootify(model, 2, budget=0.8, images=given)
        assert [row.name for row in plan.layers if row.groups == 2] == [grouped]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (2.5, {"a": 1, "b": 2, "c": 1}),  # a loses least only with a 1x1
        (2.1, {"a": 2, "b": 2, "c": 1}),
    ],
)
def test_errors_are_those_with_the_1x1s_that_are_needed(limit, expected):
    """Half the cost of each, and a 1x1 behind a if b has groups too."""
    errors = {"a": (5.0, 1.0), "b": (3.0, 3.0), "c": (4.0, 4.0)}
    options = {
        name: budget.Options(
            (1, 2),
            np.array([0, alone]),
            np.array([0, mixed]),
            np.array([1, 0.5]),
            0.1 if name == "a" else 0.0,
        )
        for name, (alone, mixed) in errors.items()
    }

    def needed(grouped):
        return ["a"] if {"a", "b"} <= set(grouped) else []

    assert budget._choose(options, limit, needed) == expected
