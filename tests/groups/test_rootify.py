"""Filter groups for networks that are not of this package."""

import helpers
import keras
import numpy as np
import pytest

import keras_roots
from keras_roots import profile
from keras_roots.groups.plan import plan_rootify
from keras_roots.groups.rootify import rootify


def _kernels(model):
    return {
        layer.name: tuple(layer.kernel.shape)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }


def test_rootify_is_the_plan_applied():
    model = helpers.chain(*(helpers.same_conv(8, 3, f"conv{i}") for i in range(3)))
    arguments = {"layers": ["conv2"], "mix": True, "carry_over": "energy", "seed": 3}
    made = rootify(model, 4, "column", **arguments)
    planned = plan_rootify(model, 4, "column", **arguments).apply()
    for one, other in zip(made.get_weights(), planned.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert made.get_layer("conv2").groups == 4


@pytest.mark.slow
def test_resnet50_of_keras_applications_becomes_root_resnet50():
    arguments = {"weights": None, "input_shape": (32, 32, 3)}
    theirs = keras.applications.ResNet50(include_top=False, **arguments)
    plan = plan_rootify(theirs, 64, carry_over="slice")
    ours = keras_roots.RootResNet50(root=64, include_top=False, **arguments)
    made = plan.apply()
    assert list(_kernels(made).values()) == list(_kernels(ours).values())
    assert not plan.unmixed
    assert plan.params_after == sum(
        layer.count_params()
        for layer in made.layers
        if isinstance(layer, keras.layers.Conv2D)
    )


# Model: root, groups of some layers, whether groups would not mix.
APPLICATIONS = {
    "VGG16": (64, {"block1_conv2": 64, "block2_conv1": 32, "block5_conv3": 4}, True),
    "InceptionV3": (8, {"conv2d_1": 8, "conv2d_4": 4, "conv2d_7": 2}, True),
    "DenseNet121": (32, {"conv2_block1_2_conv": 32, "conv3_block1_2_conv": 16}, False),
    "ResNet50V2": (16, {"conv2_block1_2_conv": 16, "conv2_block3_2_conv": 8}, False),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_applications(name):
    root, groups, apart = APPLICATIONS[name]
    keras.backend.clear_session()  # names of layers count on
    constructor = getattr(keras.applications, name)
    model = constructor(weights=None, input_shape=(96, 96, 3), classes=10)
    plan = plan_rootify(model, root, carry_over="slice")
    rows = {row.name: row for row in plan.layers}
    assert {name: rows[name].groups for name in groups} == groups
    assert bool(plan.unmixed) == apart
    assert all(row.channels > 3 for row in plan.layers)
    made = plan.apply()
    assert profile(made).macs == plan.macs_after < plan.macs
    assert made.output_shape == (None, 10)
