"""What is released: the index, the files, and how they are asked for."""

import json
import shutil
import zipfile
from pathlib import Path

import lowest_keras
import numpy as np
import pytest
from helpers import pixels

from keras_roots import RootResNet20, create_model, list_models, profile
from keras_roots.models import NetworkName, released

INDEX = {
    f"{NetworkName.of_entry(entry)}-{entry['weights']}": entry
    for entry in released.index()
}
WHOLE = "cifar10-force-l2-decomposed"
ENTRY = {
    "model": "root_nin",
    "root": 8,
    "topology": "root",
    "groups": [8, 4],
    "weights": "cifar10",
    "file": "missing.weights.h5",
    "sha256": "0" * 64,
}


@pytest.mark.parametrize("key", INDEX)
def test_networks_load_and_are_what_the_index_says(key):
    entry = INDEX[key]
    model = create_model(str(NetworkName.of_entry(entry)), weights=entry["weights"])
    assert profile(model).macs == entry["macs"]
    assert profile(model).params == entry["params"]
    assert Path(released.verified(entry)).stat().st_size == entry["bytes"]
    assert model.output_shape == (None, released.classes(entry["weights"]))
    plain = create_model(str(NetworkName.of_entry(entry)))
    images = pixels(2, 32)
    assert np.abs(np.asarray(model(images)) - np.asarray(plain(images))).max() > 1e-3


@pytest.mark.parametrize(
    "key", [key for key, entry in INDEX.items() if released.is_whole(entry)]
)
def test_the_lowest_keras_knows_what_networks_are_made_of(key):
    with zipfile.ZipFile(released.verified(INDEX[key])) as file:
        configuration = json.loads(file.read("config.json"))
    table = json.loads(lowest_keras.TABLE.read_text())
    assert not lowest_keras.unknown(configuration, table)


def test_every_file_is_in_the_index():
    folder = Path(released.verified(next(iter(INDEX.values())))).parent
    files = {path.name for path in folder.iterdir()}
    assert files == {entry["file"] for entry in INDEX.values()}


def test_what_is_listed_can_be_created():
    names = list_models("root_resnet20*", weights="cifar10")
    assert names == ["root_resnet20:1"]
    assert list_models("*resnet20*", weights=WHOLE) == ["root_resnet20:1"]
    with pytest.raises(ValueError, match="one of the released: .*Received.*'mnist'"):
        list_models(weights="mnist")


def test_names_are_listed_in_order(monkeypatch):
    roots = [(16, "root"), (8, "tree"), (2, "root"), ((8, 4), "root")]
    entries = [ENTRY | {"root": r, "topology": t} for r, t in roots]
    monkeypatch.setattr(released, "index", lambda: entries)
    assert list_models(weights="cifar10") == [
        "root_nin:2",
        "root_nin:8x4",
        "root_nin:16",
        "root_nin:8:tree",
    ]


@pytest.mark.parametrize("cut", [0, 1000, -1])
def test_a_damaged_file_is_not_loaded(monkeypatch, tmp_path, cut):
    entry = next(e for e in INDEX.values() if not released.is_whole(e))
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / entry["file"]
    shutil.copy(released.verified(entry), path)
    monkeypatch.setattr(released.resources, "files", lambda package: tmp_path)
    assert released.verified(entry) == str(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="is damaged.*Install keras_roots again"):
        create_model(str(NetworkName.of_entry(entry)), weights=entry["weights"])


def test_a_missing_file_is_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(released, "index", lambda: [ENTRY])
    with pytest.raises(ValueError, match="found no such file"):
        create_model("root_nin", root=8, weights="cifar10")


def test_what_is_released_is_said(monkeypatch):
    monkeypatch.setattr(released, "index", lambda: [ENTRY])
    with pytest.raises(ValueError, match="root_nin: 'cifar10' as root_nin:8"):
        create_model("root_nin", root=4, weights="cifar10")
    with pytest.raises(ValueError, match="Released for root_resnet50: none"):
        create_model("root_resnet50", weights="cifar10")


def test_dense_networks_have_no_topology():
    """Every topology of the dense network is the same network."""
    dense = create_model("root_nin:1:column", weights="cifar10")
    expected = create_model("root_nin:1", weights="cifar10")
    for mine, theirs in zip(dense.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("root_resnet20:8", {}, r"is released as .*Received: .* groups \(8, 4, 2\)"),
        ("root_nin:1", {}, "is released as root_convnet:1, root_resnet20:1"),
        ("root_resnet20:1", {"include_top": False}, "only. Received: include_top"),
        ("root_resnet20:1", {"classes": 7}, "`classes` should be 10.*classes=7"),
    ],
)
def test_whole_networks_and_other_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        create_model(name, weights=WHOLE, **arguments)


def test_constructors_do_not_build_whole_networks():
    with pytest.raises(ValueError, match="create_model.*'root_resnet20:1'"):
        RootResNet20(root=1, weights=WHOLE)
    assert create_model("root_resnet20", root=1, weights=WHOLE, classes=10)
