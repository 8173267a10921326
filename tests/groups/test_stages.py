"""Spatial convolutions of a network, stage by stage."""

import helpers
import keras
import pytest

from keras_roots.groups.plan import plan_rootify


def test_networks_without_anything_to_group():
    model = keras.applications.MobileNet(
        weights=None, include_top=False, input_shape=(32, 32, 3)
    )
    with pytest.raises(ValueError, match="has no spatial convolutions behind"):
        plan_rootify(model)


def test_unpadded_convolutions_stay_in_their_stage():
    layers = [helpers.same_conv(8, 3, f"c{i}", padding="valid") for i in range(4)]
    model = helpers.chain(
        *layers, keras.layers.MaxPooling2D(), helpers.same_conv(8, 3, "c4"), side=32
    )
    stages = {row.name: row.stage for row in plan_rootify(model, 4).layers}
    assert stages == {"c1": 0, "c2": 0, "c3": 0, "c4": 1}
