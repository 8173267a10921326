"""Releasing networks: weights, index and cards of a zoo of its own."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.models import released
from keras_roots.training.evaluation import LITERT_FORMATS
from keras_roots.training.reports import cards
from keras_roots.training.reports.release import (
    read_index,
    release,
    write_cards,
    write_index,
)

ZOO = Path(released.verified(released.index()[0])).parent.parent
DATASET = "cifar10-sample"
RESULT = {
    "seconds": 12.5,
    "validation_top1": 0.75,
    "command": "keras-roots-train --model=root_convnet",
    "hardware": "two CPUs",
    "versions": "keras 3",
    "date": "2026-01-02",
}


def _run(folder, model, result=RESULT, **config):
    folder.mkdir()
    model.save(folder / "model.keras")
    config = config or {"dataset": DATASET}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture(scope="module")
def network():
    return keras_roots.create_model("root_convnet:1", weights="cifar10")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory, network):
    """A zoo with a network of weights, and one that is whole."""
    folder = tmp_path_factory.mktemp("zoo")
    runs = tmp_path_factory.mktemp("runs")
    release(_run(runs / "plain", network), folder)
    small = keras_roots.decompose(network, ranks={"conv2": 8, "conv3": 8})
    run = _run(runs / "small", small, dataset=DATASET, stages={"decompose": {}})
    release(run, folder, f"{DATASET}-decomposed")
    return folder, small


def test_entries_say_what_was_released(zoo, network):
    folder, small = zoo
    plain, whole = read_index(folder)
    assert plain["file"] == "root_convnet_1-cifar10-sample.weights.h5"
    assert whole["file"] == "root_convnet_1-cifar10-sample-decomposed.keras"
    for entry, model in ((plain, network), (whole, small)):
        content = (folder / "weights" / entry["file"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
        assert (entry["model"], entry["root"], entry["groups"]) == (
            "root_convnet",
            1,
            [1, 1],
        )
        assert entry["images"] == 400
        assert {name: entry[name] for name in cards.PROVENANCE} == {
            name: RESULT[name] for name in cards.PROVENANCE
        }
        assert entry["training_seconds"] == 12.5
        images = np.load(ZOO / "samples" / "cifar10.npz")
        scores = model.predict(images["x_test"].astype("float32"), verbose=0)
        right = np.mean(scores.argmax(-1) == images["y_test"])
        assert entry["top1"]["keras"] == pytest.approx(right, abs=1e-9)
        assert set(entry["litert_bytes"]) == set(LITERT_FORMATS)
    assert plain["macs"] == 12_298_378 and plain["params"] == 89_578
    assert whole["macs"] < plain["macs"]


def test_what_was_released_loads(monkeypatch, zoo, network):
    folder, small = zoo
    entries = read_index(folder)
    monkeypatch.setattr(released, "index", lambda: entries)
    monkeypatch.setattr(released.resources, "files", lambda package: folder)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("f")
    for name, model in ((DATASET, network), (f"{DATASET}-decomposed", small)):
        loaded = keras_roots.create_model("root_convnet:1", weights=name)
        np.testing.assert_allclose(loaded(images), model(images), rtol=1e-5, atol=1e-6)


def test_a_second_release_replaces_the_first(zoo, network, tmp_path):
    folder, _ = zoo
    release(_run(tmp_path / "again", network), folder)
    entries = read_index(folder)
    assert len(entries) == 2
    assert len(list((folder / "weights").iterdir())) == 2
    assert not [path for path in folder.rglob(".*")]


def test_the_card_is_written(zoo):
    folder, _ = zoo
    path = folder / "cards" / "root_convnet.md"
    text = path.read_text()
    path.unlink()
    assert write_cards(folder) == [path]
    assert path.read_text() == text
    entry = read_index(folder)[0]
    assert text.startswith("# ConvNet (Caffe's cifar10_full): cifar10-sample\n")
    assert f"| {entry['top1']['litert_int8']:.2%} |" in text
    assert "12,298,378" in text and RESULT["command"] in text
    assert "75.00% on validation" in text


def _refused(run, zoo, message, name=None):
    with pytest.raises(ValueError, match=message):
        release(run, zoo, name)
    assert not list(zoo.iterdir())


def test_what_cannot_be_released(network, tmp_path):
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    _refused(tmp_path / "none", zoo, "`run` must be the output directory")
    run = _run(tmp_path / "run", network)
    _refused(run, zoo, "begin with it and a hyphen. Received: name='mine'", "mine")
    unknown = _run(tmp_path / "library", network, {**RESULT, "command": None})
    _refused(unknown, zoo, "does not say which command made it")
    other = _run(tmp_path / "other", network, dataset="digits")
    _refused(other, zoo, "trained on 'digits' cannot be released: .* cifar10")
    unnamed = _run(tmp_path / "unnamed", network, holdout=5)
    _refused(unnamed, zoo, "`run` must be the output directory.*KeyError.*dataset")
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    foreign = _run(tmp_path / "foreign", model)
    _refused(foreign, zoo, "must be a model of the zoo.*Received: a network named")
    with pytest.raises(ValueError, match="`zoo` must be a folder"):
        release(run, tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{", "{}", "[]", "[" * 100_000])
def test_a_damaged_index(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(ValueError, match="index.json' is damaged"):
        read_index(tmp_path)


def test_the_index_is_written_in_order(tmp_path):
    entries = read_index(ZOO)
    write_index(tmp_path, entries[::-1])
    text = (tmp_path / "index.json").read_text()
    assert text == (ZOO / "index.json").read_text()
    assert read_index(tmp_path) == entries == released.index()
