"""Network in Network."""

# Name of an intermediate feature: its shape at the default size, from the paper.
FEATURES = {
    "conv1c_relu": (32, 32, 96),
    "conv2c_relu": (16, 16, 192),
    "conv3a_relu": (8, 8, 192),
}


def test_features_are_reachable_by_name(feature_shapes):
    assert feature_shapes("root_nin", FEATURES) == FEATURES
