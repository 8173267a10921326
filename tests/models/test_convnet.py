"""Caffe's ConvNet."""

import numpy as np
import pytest

from keras_roots import create_model, profile

# Name of an intermediate feature: its shape at the default size, from the paper.
FEATURES = {
    "conv1_norm": (16, 16, 32),
    "conv2_norm": (8, 8, 32),
    "conv3_relu": (8, 8, 64),
    "conv3_pool": (4, 4, 64),
}


def test_features_are_reachable_by_name(feature_shapes):
    assert feature_shapes("root_convnet", FEATURES) == FEATURES


def test_counts_are_those_of_caffes_cifar10_full():
    counted = profile(create_model("root_convnet"))
    classifier = 1024 * 10 + 10
    biases = 32 + 32 + 64
    pixels = 32 * 32 * 3 * 32 + 16 * 16 * 32 * 32 + 8 * 8 * 32 * 64
    assert counted.macs == 25 * pixels + biases + classifier
    kernels = 25 * (3 * 32 + 32 * 32 + 32 * 64)
    assert counted.params == kernels + biases + classifier


@pytest.mark.parametrize(
    ("layer", "deviation"),
    [("conv1", 0.0001), ("conv2", 0.01), ("conv3", 0.01), ("predictions", 0.01)],
)
def test_initial_weights_are_those_of_caffe(layer, deviation):
    kernel = create_model("root_convnet").get_layer(layer).kernel
    assert np.std(kernel) == pytest.approx(deviation, rel=0.05)
