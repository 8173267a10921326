"""What all plans share: totals, and the table that they print."""

import dataclasses

import keras
import pytest
from keras import layers

from keras_roots.convolutions.plan import LayerPlan, Plan


class _Plan(Plan):
    columns = (
        ("way", lambda row: row.way or ""),
        ("rank", lambda row: "" if row.rank is None else str(row.rank)),
    )

    def apply(self):
        return self.model


ROWS = (
    LayerPlan(
        name="first",
        way="groups",
        groups=4,
        macs=1000,
        macs_after=250,
        params=100,
        params_after=25,
        ms=2.0,
        ms_after=1.0,
    ),
    LayerPlan(
        name="second",
        way=None,
        groups=1,
        macs=3000,
        macs_after=3000,
        params=30,
        params_after=30,
        reason="not chosen",
    ),
)


@pytest.fixture
def plan():
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 1)])
    return _Plan(model=model, layers=ROWS, macs=5000, params=200, ms=10.0)


def test_totals(plan):
    assert (plan.macs_after, plan.params_after, plan.ms_after) == (4250, 125, 9.0)
    assert dataclasses.replace(plan, ms=None).ms_after is None


def test_groups_and_ranks_by_name(plan):
    lower = dataclasses.replace(ROWS[1], way="rank", rank=8, reason="")
    plan = dataclasses.replace(plan, layers=(ROWS[0], lower))
    assert plan.groups == {"first": 4} and plan.ranks == {"second": 8}


def test_a_table_of_all_layers(plan):
    header, _, first, second, _, total = map(str.split, str(plan).splitlines())
    assert header[:2] == ["layer", "way"]  # no rank is given
    assert first == ["first", "groups", "1,000", "250", "0.250", "100", "25"] + [
        "2.000",
        "1.000",
        "0.500",
    ]
    assert second[:2] == ["second", "3,000"] and second[-2:] == ["not", "chosen"]
    assert total == ["whole", "model", "5,000", "4,250", "0.850", "200", "125"] + [
        "10.000",
        "9.000",
        "0.900",
    ]


def test_a_table_without_times_and_reasons(plan):
    plan = dataclasses.replace(
        plan, layers=(dataclasses.replace(ROWS[0], ms=None, ms_after=None),), ms=None
    )
    header = str(plan).splitlines()[0].split()
    assert header[-5:] == ["MACs", "after", "part", "params", "after"]


def test_layers_of_other_kinds_are_named(plan):
    inputs = x = keras.Input((8, 8, 4))
    for layer in (
        layers.Conv2D(4, 3, name="plain"),
        layers.DepthwiseConv2D(3, name="deep"),
        layers.Conv2D(4, 3, groups=4, padding="same", name="deep_too"),
        layers.Conv2D(4, 3, groups=2, padding="same", name="grouped"),
        layers.Conv2DTranspose(4, 3, name="larger"),
        layers.BatchNormalization(name="norm"),
        layers.Flatten(name="flat"),
        layers.Dense(3, name="head"),
    ):
        x = layer(x)
    plan = dataclasses.replace(plan, model=keras.Model(inputs, x))
    assert plan.others == {
        "deep": "depthwise",
        "deep_too": "depthwise",
        "larger": "Conv2DTranspose (its kernel is not as large as its strides)",
        "head": "Dense",
    }
    lines = str(plan).splitlines()
    assert lines[-3:] == [
        "stay, depthwise: deep, deep_too",
        "stay, Conv2DTranspose (its kernel is not as large as its strides): larger",
        "stay, Dense: head",
    ]


def test_a_plan_must_say_how_it_is_applied():
    with pytest.raises(TypeError, match="apply"):
        Plan(model=keras.Sequential(), layers=(), macs=1, params=1)


def test_layers_of_the_plan_are_no_others():
    stack = [layers.Conv2D(2, 1), layers.Dense(3, name="second"), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4, 4, 3)), *stack])
    plan = _Plan(model=model, layers=ROWS, macs=5000, params=200)
    assert plan.others == {stack[-1].name: "Dense"}
