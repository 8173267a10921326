"""ResNet-20."""

from keras_roots import create_model, profile

# Name of an intermediate feature: its shape at the default size, from the paper.
FEATURES = {
    "conv1_relu": (32, 32, 16),
    "conv2_block3_out": (32, 32, 16),
    "conv3_block3_out": (16, 16, 32),
    "conv4_block3_out": (8, 8, 64),
}


def test_features_are_reachable_by_name(feature_shapes):
    assert feature_shapes("root_resnet20", FEATURES) == FEATURES


def test_counts_are_those_of_the_paper():
    """He et al. (2015), Table 6."""
    counted = profile(create_model("root_resnet20"))
    assert counted.macs == (
        32 * 32 * 9 * (3 * 16 + 6 * 16 * 16)
        + 16 * 16 * (9 * (16 * 32 + 5 * 32 * 32) + 16 * 32)
        + 8 * 8 * (9 * (32 * 64 + 5 * 64 * 64) + 32 * 64)
        + 650
    )
    assert counted.params == (
        9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
        + (16 * 32 + 32 * 64)
        + 650
    )
