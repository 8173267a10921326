"""Stages that lower ranks, or meet a budget by groups and ranks."""

import csv
import types

import helpers
import numpy as np
import pytest

from keras_roots import compression
from keras_roots.lowrank import METHODS
from keras_roots.profiling import profile
from keras_roots.training.stages.decompose import (
    Budget,
    Decompose,
    Decomposition,
    MeetBudget,
    read_ranks,
)
from keras_roots.training.stages.stage import run


@pytest.fixture
def model():
    return helpers.convolutions()


def low_rank(budget, layers="all"):
    return Decompose(
        settings=Decomposition(
            budget=budget, method=("responses",), layers=layers, recalibration_images=24
        )
    )


def ways(folder):
    with open(folder / "plan.csv", newline="") as file:
        return {row["name"]: row["way"] for row in csv.DictReader(file)}


def test_low_ranks_for_one_kind_of_layers(model, context, tmp_path):
    # The filters of the last are sums of two: rank 2 loses nothing.
    layer = model.get_layer("last")
    kernel, bias = layer.get_weights()
    rng = np.random.default_rng(0)
    layer.set_weights(
        [kernel[..., :2] @ rng.normal(size=(2, 16)).astype("float32"), bias]
    )
    # 64 positions: 3 * 8 * 9, 8 * 16, 16 * 8 * 9, 8 * 16, then 16 * 3; one for biases.
    whole = 64 * (216 + 128 + 1152 + 128) + 48 + 8 + 16 + 8 + 16 + 3
    saved = 64 * (128 - 2 * (8 + 16)) - 2
    assert profile(model).macs == whole
    budget = 1 - 0.95 * saved / whole
    small, extra = low_rank(budget, "pointwise").run(model, tmp_path, context)
    assert extra["ranks"] == {"last": 2}
    assert extra["mean_rank_ratio"] == (1 + 2 / 16) / 2
    assert profile(small).macs <= budget * whole
    assert ways(tmp_path) == {"first": "", "wide": "", "spatial": "", "last": "rank"}


@pytest.mark.parametrize("method", METHODS)
def test_only_layers_that_no_images_were_fitted_to_are_recalibrated(
    model, context, tmp_path, method
):
    how = Decomposition(budget=0.7, method=(method,), recalibration_images=24)
    small, _ = Decompose(settings=how).run(model, tmp_path, context)
    means = [each.get_layer("norm").get_weights()[2] for each in (small, model)]
    assert np.allclose(*means) == METHODS[method].by_responses


def test_low_ranks_for_all_layers(model, context, tmp_path):
    _, extra = low_rank(0.45).run(model, tmp_path, context)
    filters = {"first": 8, "wide": 16, "spatial": 8, "last": 16}
    parts = [extra["ranks"].get(name, n) / n for name, n in filters.items()]
    assert "spatial" in extra["ranks"]
    assert extra["mean_rank_ratio"] == pytest.approx(np.mean(parts))


def test_low_ranks_out_of_reach(model, context, tmp_path):
    with pytest.raises(ValueError, match="`budget` must be at least"):
        low_rank(0.3, "pointwise").run(model, tmp_path, context)


def test_an_error_for_each_layer(model, context, tmp_path):
    settings = Decomposition(error=0.3, recalibration_images=0)
    small, extra = Decompose(settings=settings).run(model, tmp_path, context)
    assert extra["ranks"]
    assert profile(small).macs < profile(model).macs
    for before, after in zip(
        model.get_layer("norm").get_weights(),
        small.get_layer("norm").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(before, after)


def test_a_stage_that_failed_can_be_set_right(model, context):
    for rank, error in ((500, "from 1 to 8"), (4, None)):
        settings = Decomposition(ranks={"spatial": rank}, recalibration_images=0)
        arguments = ([Decompose(settings=settings)], context, lambda: model, {})
        if error is None:
            outcome = run(*arguments)
        else:
            with pytest.raises(ValueError, match=error):
                run(*arguments)
    assert outcome.model("decompose").get_layer("spatial_basis").filters == 4


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"error": 2.0}, "`error` must be"),
        ({"ranks": {"a": 1}, "budget": 0.5}, "exclude each other"),
        ({"method": ("responses",), "recalibration_images": 0}, "needs sample images"),
        ({"layers": "("}, "regular expression"),
    ],
)
def test_settings_are_checked_before_any_stage(settings, message, model, context):
    stage = Decompose(settings=Decomposition(**settings))
    with pytest.raises(ValueError, match=message):
        run([stage], context, lambda: model, {})
    assert not context.folder.exists()


def test_groups_and_ranks_for_multiply_adds(model, context, tmp_path):
    whole = profile(model).macs
    settings = Budget(budget=0.5, cost="macs", recalibration_images=24)
    small, extra = MeetBudget(settings=settings).run(model, tmp_path, context)
    assert profile(small).macs <= 0.5 * whole
    assert profile(small).macs / whole == pytest.approx(extra["predicted"], abs=0.01)
    changed = {**extra["layer_groups"], **extra["ranks"]}
    assert {name for name, way in ways(tmp_path).items() if way} == set(changed)
    assert "spatial" in changed


@pytest.mark.parametrize(
    "given, expected",
    [("auto", (None, "int8")), ("none", (None,)), ("int8", ("int8",))],
)
def test_budgets_of_time_are_met(
    given, expected, model, context, tmp_path, monkeypatch
):
    asked = {}

    def meet_budget(model, images, budget, **arguments):
        asked.update(arguments, images=len(images), budget=budget)
        return types.SimpleNamespace(
            model=model, quantize="int8", ratio=0.24444, plan=None
        )

    monkeypatch.setattr(compression, "meet_budget", meet_budget)
    settings = Budget(
        budget=0.25,
        quantize=given,
        ways=("rank",),
        layers="pointwise",
        threads=2,
        latency_table="times.csv",
        recalibration_images=12,
    )
    found, extra = MeetBudget(settings=settings).run(model, tmp_path, context)
    assert found is model
    assert extra == {"quantize": "int8", "latency_ratio": 0.2444}
    assert (asked["images"], asked["budget"]) == (12, 0.25)
    assert (asked["quantize"], asked["ways"]) == (expected, ("rank",))
    assert (asked["layers"], asked["threads"]) == ("pointwise", 2)
    assert asked["latency_table"] == "times.csv"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"budget": 1.0}, "`budget` must be a number above 0 and below 1"),
        ({"budget": 0.5, "cost": "none"}, "`cost` must be one of"),
        ({"budget": 0.5, "recalibration_images": 0}, "needs sample images"),
    ],
)
def test_impossible_budgets(settings, message, model, context):
    stage = MeetBudget(settings=Budget(**settings))
    with pytest.raises(ValueError, match=message):
        run([stage], context, lambda: model, {})
    assert not context.folder.exists()


def test_ranks_by_layer(tmp_path):
    assert read_ranks("a=3, b=4") == {"a": 3, "b": 4}
    plan = tmp_path / "plan.csv"
    plan.write_text("name,way,rank\na,rank,3\nb,,5\nc,,\nd,rank,8\n")
    assert read_ranks(str(plan)) == {"a": 3, "d": 8}


@pytest.mark.parametrize("text", ["a", "a=b", "a=1,b"])
def test_impossible_ranks(text):
    with pytest.raises(ValueError, match="`ranks` must be layer=rank"):
        read_ranks(text)
