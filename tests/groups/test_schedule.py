"""Groups by stage and by name of layer."""

import helpers
import numpy as np
import pytest

from keras_roots.groups.plan import plan_rootify


def test_groups_by_name_of_layer():
    model = helpers.chain(*(helpers.same_conv(8, 3, f"conv{i}") for i in range(4)))
    plan = plan_rootify(model, {"conv2": 4, "conv3": 3})
    assert {row.name: row.groups for row in plan.layers} == {
        "conv1": 1,
        "conv2": 4,
        "conv3": 2,
    }
    assert [row.asked for row in plan.layers] == [None, 4, 3]


@pytest.mark.parametrize(
    ("root", "kwargs", "message"),
    [
        ({"conv9": 2}, {}, "`root` that .* must name .*conv1.*Received: 'conv9'"),
        ({}, {}, "`root` that .* must name .*conv1.*Received: no names"),
        ({7: 2}, {}, "`root` that .* must name .*conv1.*Received: 7"),
        ({"conv1": True}, {}, r"Received: root\['conv1'\]=True"),
        ({"conv1": 2}, {"topology": "bush"}, "`topology` must be one of"),
        ({"conv1": 0}, {}, r"Received: root\['conv1'\]=0"),
        ({"conv1": 2}, {"layers": ["conv1"]}, "leave out `layers`. Received: layers="),
    ],
)
def test_impossible_groups_by_name(root, kwargs, message):
    with pytest.raises(ValueError, match=message):
        plan_rootify(
            helpers.chain(
                helpers.same_conv(8, 3, "conv0"), helpers.same_conv(8, 3, "conv1")
            ),
            root,
            **kwargs,
        )


def test_an_array_of_groups_is_a_sequence():
    plan = plan_rootify(
        helpers.chain(helpers.same_conv(8, 3, "a"), helpers.same_conv(8, 3, "b")),
        np.array([4]),
    )
    assert [row.groups for row in plan.layers] == [4]
