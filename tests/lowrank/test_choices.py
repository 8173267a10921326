"""Which layers are decomposed, by which methods, and what is refused."""

import keras
import pytest
from keras import layers

from keras_roots import RootAlexNet, plan_decomposition
from keras_roots.lowrank.methods import ALEXNET_LRA


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"error": 0}, "`error` must be a number above 0 and below 1"),
        ({"error": 1.5}, "`error` must be a number above 0 and below 1"),
        ({"method": "magic"}, "`method` must be one of .*'pca'.*method='magic'"),
        (
            {"method": {"dense": "magic"}},
            r"`method\['dense'\]` must be one of .*='magic'",
        ),
        ({"method": {"other": "pca"}}, "`method` must name.*dense.*'other'"),
        ({"method": {"pointwise": "separable"}}, "'pointwise' cannot be decomposed"),
        ({"method": 3}, "`method` must be one of"),
        ({"method": (["pca"],)}, "`method` must be of"),
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
        ({"budget": 0.5, "rank_multiple": 99}, "`budget` cannot be met: none of"),
        (
            {"budget": 0.5, "method": ("separable",), "layers": "pointwise"},
            "`budget` cannot be met: none of",
        ),
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


class _Scaled(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, 2 * kernel)


def test_a_convolution_of_another_class_stays():
    model = keras.Sequential([keras.Input((8, 8, 3)), _Scaled(16, 3, name="scaled")])
    (row,) = plan_decomposition(model, 0.5, cost=None).layers
    assert (
        row.way is None
        and "a _Scaled, a subclass of Conv2D: what it computes is not known"
        in row.reason
    )
    with pytest.raises(ValueError, match="'scaled' cannot be decomposed"):
        plan_decomposition(model, ranks={"scaled": 2})


class _Standardised(keras.layers.Conv2D):
    """A convolution that computes something else."""


def test_subclasses_stay_with_the_reason():
    layers = [_Standardised(8, 3, name="own"), keras.layers.Conv2D(8, 3, name="plain")]
    model = keras.Sequential([keras.Input((12, 12, 3)), *layers])
    reason = "a _Standardised, a subclass of Conv2D: what it computes is not known"
    plan = plan_decomposition(model, 0.5, cost=None)
    own, plain = plan.layers
    assert (own.way, own.reason, plain.way) == (None, reason, "rank")
    assert type(plan.apply().get_layer("own")) is _Standardised
    with pytest.raises(ValueError, match=f"'own' cannot be decomposed: {reason}"):
        plan_decomposition(model, ranks={"own": 2})


class _Tied(layers.Dense):
    """A Dense layer that computes something else."""


def _dense_layers():
    stack = [
        layers.Dense(16, name="fc1"),
        _Tied(16, name="own"),
        layers.Dense(16, name="fc2"),
        layers.Dense(4, name="head"),
    ]
    x = keras.Input((8, 8, 3))
    outputs = layers.Flatten()(layers.Conv2D(8, 3, name="conv")(x))
    for layer in stack:
        outputs = layer(outputs)
    return keras.Model(x, outputs)


@pytest.mark.parametrize(
    ("arguments", "considered"),
    [
        ({"error": 0.5}, {"conv"}),
        ({"ranks": {"fc1": 3}}, {"fc1"}),
        ({"ranks": {"conv": 3}}, {"conv"}),
        ({"ranks": {"conv": 3, "head": 2}}, {"conv", "head"}),
        ({"error": 0.5, "method": {"fc2": "svd"}}, {"fc2"}),
        ({"error": 0.5, "layers": ["fc1", "conv"]}, {"fc1", "conv"}),
        ({"error": 0.5, "layers": lambda layer: True}, {"conv", "fc1", "fc2", "head"}),
        ({"budget": 0.2}, {"conv", "fc1", "fc2"}),
        ({"budget": 0.9, "layers": ["fc1"]}, {"fc1"}),
    ],
)
def test_which_dense_layers_take_part(arguments, considered):
    """None unless they are meant, as in papers; for a budget all but the last one."""
    plan = plan_decomposition(_dense_layers(), cost=None, **arguments)
    assert {row.name for row in plan.layers if row.method} == considered
    shown = {row.name for row in plan.layers}
    assert shown | set(plan.others) == {"conv", "fc1", "own", "fc2", "head"}
    assert not shown & set(plan.others)


def test_dense_layers_that_stay():
    model = _dense_layers()
    reason = "a _Tied, a subclass of Dense: what it computes is not known"
    plan = plan_decomposition(model, budget=0.3)
    reasons = {row.name: row.reason for row in plan.layers}
    assert reasons["own"] == reason
    assert type(plan.apply().get_layer("own")) is _Tied
    with pytest.raises(ValueError, match=f"'own' cannot be decomposed: {reason}"):
        plan_decomposition(model, ranks={"own": 2})
    with pytest.raises(ValueError, match="'fc1' cannot .* a Dense layer is not separ"):
        plan_decomposition(model, ranks={"fc1": 2}, method="separable")
    with pytest.raises(ValueError, match="'fc1' an integer from 1 to 16"):
        plan_decomposition(model, ranks={"fc1": 17})
    model.get_layer("fc1").quantize("int8")
    with pytest.raises(ValueError, match="'fc1' .*weights are quantised to int8"):
        plan_decomposition(model, ranks={"fc1": 2})
