"""Leaving out auxiliary heads."""

import keras
import numpy as np
from keras import layers

import keras_roots
from keras_roots.export.litert import export_tflite
from keras_roots.export.rewrites.auxiliary import drop_auxiliary_heads
from keras_roots.export.runner import LiteRTModel


def test_auxiliary_heads_go():
    model = keras_roots.RootGoogLeNet(
        root=8, aux_heads=True, classes=5, input_shape=(64, 64, 3)
    )
    rewritten, changes = drop_auxiliary_heads(model)
    assert (len(model.outputs), len(rewritten.outputs)) == (3, 1)
    assert len(changes) == 2
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3))
    np.testing.assert_array_equal(rewritten(images), model(images)[0])


def test_a_file_without_auxiliary_heads_is_compared_without_them(tmp_path, images):
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(inputs))
    outputs = [layers.Dense(5)(x), layers.Dense(5, name="aux1_predictions")(x)]
    model = keras.Model(inputs, outputs)
    path = tmp_path / "net.tflite"
    report = export_tflite(
        model, path, optimize="drop_auxiliary_heads", check_data=images(4)
    )
    assert report.changes == {"drop_auxiliary_heads": {"aux1_predictions": "left out"}}
    assert len(LiteRTModel(path).predict(images(1))) == 1
