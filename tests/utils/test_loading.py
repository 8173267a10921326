"""Loading and saving Keras files."""

import concurrent.futures
import io
import json
import tracemalloc
import zipfile

import h5py
import keras
import lowest_keras
import numpy as np
import pytest
from helpers import assert_same_outputs, random_images

import keras_roots
from keras_roots.utils.loading import check_weights_file, load_model, save_model


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


def _changed(path, change, compression=zipfile.ZIP_STORED):
    """Writes a Keras file whose configuration, and other members, a function changes.

    The function gets the configuration and the members by name; a member that it sets
    to `None` is left out.
    """
    save_model(_network(), path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    configuration = json.loads(members["config.json"])
    before = members["config.json"]
    change(configuration, members)
    if members["config.json"] is before:
        members["config.json"] = json.dumps(configuration)
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            if content is not None:
                file.writestr(name, content)


def _of_tomorrow(configuration, members):
    configuration["config"]["layers"][1]["config"]["of_tomorrow"] = None
    members["metadata.json"] = json.dumps({"keras_version": "9.1.0"})


def test_files_of_another_version_say_so(tmp_path):
    path = tmp_path / "net.keras"
    _changed(path, _of_tomorrow)
    with pytest.raises(
        ValueError, match="(?s)written by Keras 9.1.0 .this is .*_tomor"
    ):
        load_model(path)


def _zeros(configuration, members):
    members["assets/zeros"] = bytes(2**26)


def _large_text(configuration, members):
    members["config.json"] = " " * (2**26 + 1)


def _deep(configuration, members):
    members["config.json"] = "[" * 100_000 + "]" * 100_000


def _deep_layers(configuration, members):
    part = configuration
    for _ in range(300):
        part["config"]["inner"] = {"config": {}}
        part = part["config"]["inner"]


def _wide_layer(configuration, members):
    """A layer of 4 GB, where the file has the weights of three units."""
    configuration["config"]["layers"][-1]["config"]["units"] = 2**24


def _large_h5():
    """An array of 4 TB that HDF5 keeps as nothing."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("x", (2**40,), "float32", chunks=(2**20,))
    return buffer.getvalue()


def _packed_array(configuration, members):
    members["model.weights.h5"] = _large_h5()


def _without_weights(configuration, members):
    members["model.weights.h5"] = None


def _program(configuration, members):
    layer = configuration["config"]["layers"][-1]
    layer["class_name"], layer["config"] = "TFSMLayer", {"filepath": "saved"}


def _pickle(configuration, members):
    layer = configuration["config"]["layers"][-1]
    layer["class_name"], layer["config"] = "TorchModuleWrapper", {"module": "a"}


def _python(configuration, members):
    layer = keras.layers.Lambda(lambda x: x, name="code")
    configuration["config"]["layers"][-1] = keras.saving.serialize_keras_object(layer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_zeros, "its members would take 67,.* bytes, where the file has"),
        (_large_text, "JSON must have at most 67,108,864 bytes"),
        (_deep, "JSON must be nested at most 200 deep$"),
        (_deep_layers, "JSON must be nested at most 200 deep$"),
        (_wide_layer, "the weights of its layers would take .* where the file has"),
        (_packed_array, "its arrays would take 4,398,046,511,104 bytes, where"),
        (_without_weights, "it has no model.weights.h5$"),
        (_program, "its layer TFSMLayer loads a SavedModel, which is a program$"),
        (_pickle, "its layer TorchModuleWrapper unpickles a module of PyTorch$"),
        (_python, "deserialization of a .*lambda"),
    ],
)
def test_files_that_are_too_large_or_code_are_not_loaded(change, message, tmp_path):
    path = tmp_path / "net.keras"
    packed = change is _zeros
    _changed(path, change, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"(?s)^`path` must be a whole .*{message}"):
        load_model(path)
    allocated = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert allocated < 2**29  # half a gigabyte


def test_a_file_of_an_older_format_is_no_keras_file(tmp_path):
    """Keras goes by the suffix, and reads that format with fewer checks."""
    _network().save(tmp_path / "net.h5")
    with pytest.raises(ValueError, match="must be an existing .keras file"):
        load_model(tmp_path / "net.h5")


def test_networks_of_other_threads_are_not_counted(tmp_path):
    save_model(_network(), tmp_path / "net.keras")
    before = keras.layers.Layer.add_weight
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        paths = [tmp_path / "net.keras"] * 6
        for loaded in pool.map(load_model, paths):
            assert loaded.count_params() == _network().count_params()
    assert keras.layers.Layer.add_weight is before


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_weights_far_larger_than_their_file(suffix, tmp_path):
    path = tmp_path / f"net{suffix}"
    if suffix == ".keras":
        _changed(path, _packed_array)
    else:
        path.write_bytes(_large_h5())
    with pytest.raises(ValueError, match="its arrays would take"):
        check_weights_file(path)
    (_network().save if suffix == ".keras" else _network().save_weights)(path)
    check_weights_file(path)


def test_a_network_of_the_other_layout_says_so(tmp_path):
    """Keras saves Rescaling without its layout, and takes the setting's instead."""
    path, flat = tmp_path / "net.keras", tmp_path / "flat.keras"
    model = _network()
    save_model(model, path)
    save_model(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), flat)
    keras.config.set_image_data_format("channels_first")
    with pytest.raises(
        ValueError,
        match="^`file` must be of the image_data_format that Keras is set to, "
        "'channels_first'. Received: '.*', whose is 'channels_last': set that in keras",
    ):
        load_model(path, "`file`")
    assert load_model(flat).count_params() == 8
    keras.config.set_image_data_format("channels_last")
    assert load_model(path).count_params() == model.count_params()
