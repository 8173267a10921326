"""Sums of two 1x1 convolutions as one."""

import keras
import numpy as np
import pytest
from helpers import assert_same_outputs, assign_random
from keras import layers

from keras_roots.export.rewrites.projections import merge_projections


def _residual(strides=1, use_bias=True, batch_norm=True, activation=None, groups=1):
    inputs = keras.Input((9, 9, 8))

    def project(x, name):
        x = layers.Conv2D(16, 1, strides, use_bias=use_bias, name=name, groups=groups)(
            x
        )
        return layers.BatchNormalization(scale=use_bias)(x) if batch_norm else x

    branch = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    outputs = layers.ReLU()(
        layers.Add(name="add")([project(branch, "a"), project(inputs, "b")])
    )
    return assign_random(keras.Model(inputs, outputs))


@pytest.mark.parametrize("strides", [1, 2, (1, 3)])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_two_projections_become_one(strides, use_bias, batch_norm):
    model = _residual(strides, use_bias, batch_norm)
    rewritten, changes = merge_projections(model)
    assert changes == {"add": "a + b"}
    assert not any(isinstance(layer, layers.Add) for layer in rewritten.layers)
    assert rewritten.get_layer("add").kernel.shape == (1, 1, 12, 16)
    images = np.random.default_rng(0).normal(size=(2, 9, 9, 8))
    assert_same_outputs(model, rewritten, images)


def _other_sums():
    inputs = keras.Input((9, 9, 8))
    conv = layers.Conv2D(8, 1)
    shared = conv(inputs)
    yield "identity", inputs, layers.Add()([conv(inputs), inputs])
    yield (
        "spatial",
        inputs,
        layers.Add()(
            [layers.Conv2D(8, 3, padding="same")(x) for x in (inputs, inputs)]
        ),
    )
    yield (
        "used elsewhere",
        inputs,
        [layers.Add()([shared, layers.Conv2D(8, 1)(inputs)]), shared],
    )
    yield "three", inputs, layers.Add()([layers.Conv2D(8, 1)(inputs) for _ in range(3)])
    yield (
        "activation",
        inputs,
        layers.Add()(
            [layers.Conv2D(8, 1, activation="relu")(inputs) for _ in range(2)]
        ),
    )
    yield (
        "groups",
        inputs,
        layers.Add()([layers.Conv2D(8, 1, groups=2)(inputs) for _ in range(2)]),
    )


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [pytest.param(*rest, id=name) for name, *rest in _other_sums()],
)
def test_other_sums_stay(inputs, outputs):
    assert merge_projections(keras.Model(inputs, outputs))[1] == {}
