"""AlexNet."""

# Name of an intermediate feature: its shape at the default size, from the paper.
FEATURES = {
    "conv1_relu": (55, 55, 96),
    "conv1_norm": (27, 27, 96),
    "conv2_norm": (13, 13, 256),
    "conv5_pool": (6, 6, 256),
    "fc6": (4096,),
    "fc7": (4096,),
}


def test_features_are_reachable_by_name(feature_shapes):
    assert feature_shapes("root_alexnet", FEATURES) == FEATURES


def test_the_dense_layers_are_followed_by_dropout(dropout_rates):
    assert dropout_rates("root_alexnet") == [0.5, 0.5]
