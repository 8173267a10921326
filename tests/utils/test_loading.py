"""Loading and saving Keras files."""

import json
import zipfile

import keras
import lowest_keras
import numpy as np
import pytest
from helpers import assert_same_outputs, random_images

import keras_roots
from keras_roots.utils.loading import load_model, save_model


def test_a_network_comes_back_uncompiled(tmp_path):
    inputs = keras.Input((6, 6, 4))
    outputs = keras_roots.layers.GroupedConv2D(4, 3, groups=2)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    model.save(tmp_path / "net.keras")
    loaded = load_model(tmp_path / "net.keras")
    assert not loaded.compiled
    for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "text"),
    [("none", "an existing"), ("bad", "a whole"), (".", "an existing")],
)
def test_anything_else_is_refused(name, text, tmp_path):
    (tmp_path / "bad.keras").write_text("no model")
    path = tmp_path / (name if name == "." else f"{name}.keras")
    with pytest.raises(ValueError, match=f"^--from must be {text} .keras file. Rec"):
        load_model(path, "--from")


def _network():
    """A network whose `model.save` holds what older versions of Keras refuse."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            layers.Conv2D(4, 3, kernel_initializer="he_normal"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def _configuration(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("config.json"))


def test_older_versions_can_read_what_is_saved(tmp_path):
    model = _network()
    save_model(model, tmp_path / "net.keras")
    table = json.loads(lowest_keras.TABLE.read_text())
    assert not lowest_keras.unknown(_configuration(tmp_path / "net.keras"), table)
    assert_same_outputs(
        load_model(tmp_path / "net.keras"), model, random_images(model, 4)
    )


def test_models_that_were_compiled_keep_their_optimiser(tmp_path):
    model = _network()
    model.compile(keras.optimizers.SGD(0.5, momentum=0.25), "mse")
    model.fit(np.ones((4, 6, 6, 4)), np.ones((4, 3)), verbose=0)
    save_model(model, tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert loaded.optimizer.momentum == 0.25
    for ours, theirs in zip(
        loaded.optimizer.variables, model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_files_of_another_version_say_so(tmp_path):
    path = tmp_path / "net.keras"
    save_model(_network(), path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    configuration = json.loads(members["config.json"])
    configuration["config"]["layers"][1]["config"]["of_tomorrow"] = None
    members["config.json"] = json.dumps(configuration)
    members["metadata.json"] = json.dumps({"keras_version": "9.1.0"})
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises(
        ValueError, match="(?s)written by Keras 9.1.0 .this is .*_tomor"
    ):
        load_model(path)
