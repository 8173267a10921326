"""Plans of groups and ranks, and the networks that they make."""

import helpers
import numpy as np
import pytest

from keras_roots import profile
from keras_roots.compression.planner import Planner, plan_compression
from keras_roots.convolutions import recalibrate


@pytest.mark.parametrize("ways", [("groups",), ("rank",), ("groups", "rank")])
def test_the_model_has_what_the_plan_says(ways):
    model, images = helpers.spatial_pair(), helpers.normal_images()
    plan = plan_compression(model, images, 0.65, cost="macs", ways=ways)
    assert {row.way for row in plan.layers} <= {None, *ways}
    assert plan.groups or plan.ranks
    for made in (plan.apply(), plan.sketch()):
        for name, groups in plan.groups.items():
            assert made.get_layer(name).groups == groups
        for name, rank in plan.ranks.items():
            separable = plan.methods[name] == "separable_responses"
            first = f"{name}_vertical" if separable else f"{name}_basis"
            assert made.get_layer(first).filters == rank
        assert profile(made).macs == plan.macs_after
    assert "whole model" in str(plan)


@pytest.mark.parametrize("budget", [0.95, 0.9, 0.8, 0.7, 0.6])
def test_groups_get_the_1x1_that_they_were_judged_with(budget):
    """Also where all layers around them stay whole, and would mix them."""
    model = helpers.chain(
        helpers.same_conv(8, 1, "stem"),
        *(helpers.same_conv(8, 3, f"conv{i}") for i in range(4)),
    )
    images = helpers.pixels(30, 16)
    planner = Planner(model, images, cost="macs", ways=("groups",))
    plan = planner.plan(budget)
    assert plan.groups
    assert set(plan.mixed) == set(plan.groups)
    for made in (plan.apply(), plan.sketch()):
        assert all(made.get_layer(f"{name}_mix") for name in plan.groups)
        assert profile(made).macs == plan.macs_after


def test_applied_weights_answer_more_like_the_model_than_unfitted_ones():
    images = helpers.normal_images(200)
    model = recalibrate(helpers.spatial_pair(), images)
    plan = plan_compression(model, images, 0.7, cost="macs")
    expected = model.predict(images, verbose=0)

    def distance(other):
        return np.abs(other.predict(images, verbose=0) - expected).mean()

    assert distance(plan.apply()) < 0.7 * distance(plan.sketch())


def test_what_a_plan_expects_is_what_is_measured(monkeypatch):
    helpers.made_up_machine(monkeypatch)
    model, images = helpers.spatial_pair(), helpers.normal_images()
    planner = Planner(model, images)
    plan = planner.plan(0.7)
    macs = profile(model).macs
    assert plan.ms == pytest.approx(1.1 * macs)
    saved = sum(row.macs - row.macs_after for row in plan.layers)
    assert plan.ms_after == pytest.approx(1.1 * macs - saved)
    assert plan.part == plan.ms_after / plan.ms <= 0.7
    scaled = planner.plan(0.9, scale=0.5)
    saved = sum(row.macs - row.macs_after for row in scaled.layers)
    assert scaled.ms_after == pytest.approx(1.1 * macs - 0.5 * saved)
    assert f"{plan.ms:.3f}" in str(plan)


def test_a_plan_says_why_layers_stay():
    model, images = helpers.spatial_pair(), helpers.normal_images()
    plan = plan_compression(model, images, 0.8, cost="macs", ways=("groups",))
    reasons = {row.name: row.reason for row in plan.layers if row.way is None}
    assert reasons["point"] == reasons["after"] == "nothing saves macs"
    assert "stays because" in str(plan) and "whole model" in str(plan)
    assert plan.part == plan.macs_after / plan.macs
