"""GoogLeNet."""

import keras
import numpy as np
import pytest
from helpers import assign_random, pixels

from keras_roots import create_model

# Name of an intermediate feature: its shape at the default size, from the paper.
FEATURES = {
    "pool1": (56, 56, 64),
    "pool2": (28, 28, 192),
    "inception_3a": (28, 28, 256),
    "inception_3b": (28, 28, 480),
    "pool3": (15, 15, 480),
    "inception_4a": (15, 15, 512),
    "inception_4e": (15, 15, 832),
    "pool4": (8, 8, 832),
    "inception_5b": (8, 8, 1024),
    "avg_pool": (2, 2, 1024),
}


def test_features_are_reachable_by_name(feature_shapes):
    assert feature_shapes("root_googlenet", FEATURES) == FEATURES


def test_dropout_is_stronger_in_the_heads(dropout_rates):
    assert dropout_rates("root_googlenet") == [0.4]
    assert dropout_rates("root_googlenet", aux_heads=True) == [0.4, 0.7, 0.7]


def test_auxiliary_heads(zero_weights):
    model = create_model("root_googlenet", aux_heads=True, classes=7)
    names = ["predictions", "aux1_predictions", "aux2_predictions"]
    assert model.output_names == names
    assert [output.shape for output in model.outputs] == [(None, 7)] * 3
    for head, channels in (("aux1", 512), ("aux2", 528)):
        pool = model.get_layer(f"{head}_pool")
        assert pool.output.shape == (None, 5, 5, channels)
        assert model.get_layer(f"{head}_fc").kernel.shape == (3200, 1024)
    heads = {"aux1": "inception_4a", "aux2": "inception_4d"}
    for head, module in heads.items():
        read = model.get_layer(f"{head}_pool").input._keras_history.operation.name
        assert read == module


def test_heads_can_be_dropped(shallow, tmp_path):
    arguments = {"root": 8, "input_shape": (32, 32, 3), "classes": 3}
    model = create_model("root_googlenet", aux_heads=True, **arguments)
    assign_random(model)
    alone = keras.Model(model.input, model.outputs[0])
    path = str(tmp_path / "alone.weights.h5")
    alone.save_weights(path)
    loaded = create_model("root_googlenet", weights=path, **arguments)
    images = pixels(2, 32, seed=5)
    np.testing.assert_allclose(loaded(images), model(images)[0], rtol=1e-5)


def test_heads_need_the_top():
    with pytest.raises(ValueError, match="`aux_heads=True`.*include_top=False"):
        create_model("root_googlenet", aux_heads=True, include_top=False)


def test_window_of_the_last_pool_fits_the_map(shallow, zero_weights):
    model = create_model("root_googlenet", input_shape=(32, 224, 3), classes=3)
    assert model.get_layer("avg_pool").pool_size == (2, 7)
    assert model.get_layer("avg_pool").output.shape == (None, 1, 2, 1024)


def test_what_reads_a_module_is_initialised_as_one_layer():
    model = create_model("root_googlenet", input_shape=(32, 32, 3))
    # inception_4e: 256 + 160 + 32 + 128 filters of 1x1.
    deviation = (2 / 576) ** 0.5
    for part in ("1x1", "3x3_reduce", "5x5_reduce", "pool_proj"):
        kernel = np.asarray(model.get_layer(f"inception_4e_{part}").kernel)
        assert kernel.std() == pytest.approx(deviation, rel=0.03)
    # He et al.: 2 over the fan-in, which groups divide.
    layer = model.get_layer("inception_4e_3x3")
    assert layer.groups == 2
    assert np.std(layer.kernel) == pytest.approx((2 / (9 * 80)) ** 0.5, rel=0.03)


def test_equal_shapes_get_different_weights():
    model = create_model("root_googlenet", input_shape=(32, 32, 3))
    kernels = [
        np.asarray(model.get_layer(f"inception_3b_{part}").kernel)
        for part in ("1x1", "3x3_reduce")
    ]
    assert kernels[0].shape == kernels[1].shape
    assert not np.allclose(*kernels)


def test_batch_norm_neither_scales_nor_shifts(shallow, zero_weights):
    model = create_model("root_googlenet", input_shape=(32, 32, 3))
    kind = keras.layers.BatchNormalization
    norms = [layer for layer in model.layers if isinstance(layer, kind)]
    assert norms and not any(layer.trainable_weights for layer in norms)
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert len(norms) == len(convolutions)
    assert all(layer.use_bias for layer in convolutions)
