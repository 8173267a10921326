"""Network in Network."""

import keras
import pytest

from keras_roots import create_model, profile
from keras_roots.models import NetworkName

# Name of an intermediate feature: its shape at the default size, from the paper.
FEATURES = {
    "conv1c_relu": (32, 32, 96),
    "conv2c_relu": (16, 16, 192),
    "conv3a_relu": (8, 8, 192),
}


def test_features_are_reachable_by_name(feature_shapes):
    assert feature_shapes("root_nin", FEATURES) == FEATURES


def _macs(filters, side):
    """Multiply-adds of three stages of (filters, kernel size), 3 channels before."""
    total, channels = 0, 3
    for stage, layers in enumerate(filters):
        for count, size in layers:
            total += (side >> stage) ** 2 * size**2 * channels * count
            channels = count
    return total


def test_the_thin_network_has_the_multiply_adds_of_eight_groups(zero_weights):
    filters = [
        [(128, 5), (112, 1), (64, 1)],
        [(128, 5), (128, 1), (128, 1)],
        [(128, 3), (128, 1), (10, 1)],
    ]
    thin = profile(create_model("root_nin_thin")).macs
    assert thin == pytest.approx(_macs(filters, 32), rel=2e-3)  # biases count too
    assert thin == pytest.approx(profile(create_model("root_nin:8")).macs, rel=2e-3)
    model = create_model("root_nin_thin")
    found = [
        (layer.filters, *layer.kernel_size)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert found == [(n, size, size) for stage in filters for n, size in stage]
    assert model.name == "root_nin_thin_1"
    assert NetworkName.of_model(model.name) == NetworkName("root_nin_thin", 1, "root")
