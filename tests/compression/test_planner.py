"""Groups and ranks for one budget, against all choices that there are."""

import itertools
import math

import keras
import numpy as np
import pytest

from keras_roots import profile
from keras_roots.benchmarking.latency_table import LatencyTable
from keras_roots.compression.options import layer_options
from keras_roots.compression.planner import Planner, plan_compression
from keras_roots.convolutions.recalibrate import recalibrate


def _model(seed=0, filters=(16, 16)):
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(16, 1, name="point")]
    for index, count in enumerate(filters):
        layers += [
            keras.layers.Conv2D(count, 3, padding="same", name=f"conv{index}"),
            keras.layers.BatchNormalization(name=f"norm{index}"),
            keras.layers.ReLU(),
        ]
    layers += [
        keras.layers.Conv2D(16, 1, name="after"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4, activation="softmax"),
    ]
    model = keras.Sequential(layers, name="small")
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return model


def _images(count=40, seed=1):
    return np.random.default_rng(seed).normal(size=(count, 8, 8, 3)).astype("float32")


def _kernel(model, name):
    return tuple(model.get_layer(name).kernel.shape)


def test_options_are_what_saves_multiply_adds_and_the_layer_itself_first():
    options = layer_options(_model(), _images(), rank_multiple=4, groups=8)
    assert [(o.way, o.value) for o in options["conv0"]] == [
        (None, 1),
        ("groups", 2),
        ("groups", 4),
        ("groups", 8),
        ("rank", 4),
        ("rank", 8),
        ("rank", 12),
    ]
    # A 1x1 of 16 by 16 saves with fewer than 8 filters; the image's has rank 3.
    assert [(o.way, o.value) for o in options["after"]] == [(None, 1), ("rank", 4)]
    whole, two, *_ = options["conv0"]
    assert whole.macs == 64 * 9 * 16 * 16 + 16
    # conv0 reaches conv1, which may have groups too, unmixed: a 1x1 comes between.
    assert two.macs == 64 * 9 * 16 * 8 + 16 + 64 * 16 * 16
    assert options["conv1"][1].macs == 64 * 9 * 16 * 8 + 16
    for choices in options.values():
        assert all(0 <= option.lost <= 1 for option in choices)
        assert all(option.macs < choices[0].macs for option in choices[1:])


@pytest.mark.parametrize("budget", [0.4, 0.6, 0.8])
def test_no_choice_within_the_budget_loses_less(budget):
    model, images = _model(), _images()
    options = layer_options(model, images, rank_multiple=4, groups=8)
    total = profile(model).macs
    plan = plan_compression(
        model, images, budget, cost="macs", rank_multiple=4, groups=8
    )
    assert plan.after <= budget * total
    rest = total - sum(choices[0].macs for choices in options.values())
    best = min(
        sum(-math.log1p(-option.lost) for option in chosen)
        for chosen in itertools.product(*options.values())
        if rest + sum(option.macs for option in chosen) <= budget * total
    )
    found = sum(-math.log1p(-row.lost) for row in plan.layers)
    # Lagrangian relaxation finds the convex hull of what is possible.
    assert best <= found + 1e-9 and found <= 1.5 * best + 1e-9


@pytest.mark.parametrize("ways", [("groups",), ("rank",), ("groups", "rank")])
def test_the_model_has_what_the_plan_says(ways):
    model, images = _model(), _images()
    plan = plan_compression(model, images, 0.65, cost="macs", ways=ways)
    assert {row.way for row in plan.layers} <= {None, *ways}
    assert plan.groups or plan.ranks
    for made in (plan.apply(images), plan.sketch()):
        for name, groups in plan.groups.items():
            assert made.get_layer(name).groups == groups
        for name, rank in plan.ranks.items():
            assert _kernel(made, f"{name}_basis")[3] == rank
        # Only 1x1s that turn out not to be needed may be missing.
        assert profile(made).macs <= plan.after
    assert "whole model" in str(plan)


def test_applied_weights_answer_more_like_the_model_than_unfitted_ones():
    images = _images(200)
    model = recalibrate(_model(), images)
    plan = plan_compression(model, images, 0.7, cost="macs")
    expected = model.predict(images, verbose=0)

    def distance(other):
        return np.abs(other.predict(images, verbose=0) - expected).mean()

    assert distance(plan.apply(images)) < 0.7 * distance(plan.sketch())


def test_latencies_come_from_the_table(tmp_path):
    """A table that says that 1x1s are free and groups do not pay at all."""
    asked = []

    def measure(chains, dtype, threads, runs):
        asked.extend(chains)
        return [
            1e-6 + sum(max(s.kernel) > 1 and s.filters / 16 for s in c) for c in chains
        ]

    table = LatencyTable(tmp_path / "table.csv", measure=measure)
    planner = Planner(_model(), _images(), table=table)
    planner.total = 4.0  # of which the two spatial ones are 2
    plan = planner.plan(0.9)
    assert {row.way for row in plan.layers} == {None, "rank"}
    assert plan.after <= 0.9 * 4 + 1e-4
    halved = planner.plan(0.9, scale=0.5)  # savings are worth half: twice as much goes
    saved = sum(row.cost - row.cost_after for row in halved.layers)
    assert saved >= 0.8 - 1e-4
    assert asked and (tmp_path / "table.csv").exists()


def test_a_network_without_spatial_convolutions_has_ranks_only():
    model = keras.Sequential(
        [keras.Input((8, 8, 32)), keras.layers.Conv2D(32, 1, name="point")]
    )
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 32))
    plan = plan_compression(model, images, 0.6, cost="macs")
    assert plan.ranks == {"point": 8} and not plan.groups


@pytest.mark.parametrize(
    ("budget", "kwargs", "message"),
    [
        (0, {}, "`budget` must be a part .* Received: budget=0"),
        (1.0, {}, "`budget` must be a part"),
        (0.01, {}, r"`budget` must be at least 0\.\d+: .* Received: budget=0.01"),
        (0.5, {"cost": "watts"}, "`cost` must be one of"),
        (0.5, {"dtype": "int4"}, "`dtype` must be one of"),
        (
            0.5,
            {"ways": ("prune",)},
            r"`ways` must be of .* Received: ways=\(.prune.,\)",
        ),
        (0.5, {"ways": ()}, "`ways` must be of"),
        (0.5, {"ways": "groups"}, "`ways` must be of .* Received: ways='groups'"),
        (0.5, {"ways": None}, "`ways` must be of"),
        (0.5, {"groups": 0}, "`groups` must be a positive integer.*groups=0"),
        (0.5, {"groups": 2.5}, "`groups` must be a positive integer"),
        (0.5, {"rank_multiple": 0}, "`rank_multiple` must be a positive integer"),
        (0.5, {"rank_multiple": "8"}, "`rank_multiple` must be a positive integer"),
        (0.5, {"seed": -1}, "`seed` must be an integer"),
        (0.5, {"cost": ["macs"]}, "`cost` must be one of"),
        (0.5, {"dtype": ["int8"]}, "`dtype` must be one of"),
        (0.5, {"ways": ("groups",), "groups": 1}, "`budget` cannot be met: none of"),
        (0.5, {"layers": ["conv9"]}, "`layers` must name"),
    ],
)
def test_bad_arguments(budget, kwargs, message):
    with pytest.raises(ValueError, match=message):
        plan_compression(_model(), _images(4), budget, **{"cost": "macs", **kwargs})


def test_bad_images():
    with pytest.raises(ValueError, match="`images`"):
        plan_compression(_model(), np.zeros((3, 9, 9, 3)), cost="macs")


def test_a_budget_is_checked_before_the_work(monkeypatch):
    monkeypatch.setattr("keras_roots.compression.planner.Planner", None)
    with pytest.raises(ValueError, match="`budget` must be a part"):
        plan_compression(_model(), _images(4), 2)


@pytest.mark.parametrize("ways", [("groups",), ("rank",)])
def test_models_of_unknown_sides(ways):
    fixed = _model()
    layers = [keras.Input((None, None, 3)), *fixed.layers]
    model = keras.Sequential(layers, name="unknown")
    with pytest.raises(ValueError, match="Pass `input_shape`"):
        plan_compression(model, _images(4), 0.6, cost="macs", ways=ways)
    known = {"cost": "macs", "ways": ways, "input_shape": (8, 8, 3)}
    plan = plan_compression(model, _images(), 0.6, **known)
    assert plan.after == plan_compression(fixed, _images(), 0.6, **known).after
    for made in (plan.apply(_images()), plan.sketch()):
        assert profile(made, (8, 8, 3)).macs <= 0.6 * plan.before


def test_a_plan_is_applied_with_images_only():
    plan = plan_compression(_model(), _images(), 0.6, cost="macs", ways=("rank",))
    with pytest.raises(ValueError, match="`images` must be an array"):
        plan.apply(None)
