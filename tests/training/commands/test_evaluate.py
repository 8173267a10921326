"""Accuracy of files and of released networks, on the sample of their test images."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_roots import create_model
from keras_roots.models import NetworkName, released
from keras_roots.training.commands import evaluate
from keras_roots.training.data import datasets
from keras_roots.training.networks import Zoo

ZOO = Zoo(model="root_convnet", weights="cifar10")


@pytest.fixture(scope="module")
def sample():
    return datasets.open_dataset("cifar10-sample")


def _scores(model, split):
    return model.predict(split.images.astype("float32"), verbose=0)


@pytest.mark.parametrize("off", [0, 0.0001])
def test_it_says_whether_the_release_is_reproduced(monkeypatch, sample, off):
    model = create_model("root_convnet:1", weights="cifar10")
    right = float(np.mean(_scores(model, sample.test).argmax(1) == sample.test.labels))
    entry = released.entry(NetworkName.parse("root_convnet:1"), "cifar10")
    entry = entry | {"top1": entry["top1"] | {"keras": right + off}}
    monkeypatch.setattr(released, "index", lambda: [entry])
    whole = dataclasses.replace(sample, name="cifar10")
    chosen = evaluate.Evaluation(formats=("keras",))
    result = evaluate.evaluate_zoo(ZOO, chosen, whole)
    assert result["evaluated"] == "root_convnet:1:root with weights cifar10"
    assert result["top1"] == {"keras": right}
    assert result["released_top1"] == {"keras": right + off}
    assert result["reproduced"] is (off == 0)
    assert result["top5"]["keras"] > 0.97
    of_sample = evaluate.evaluate_zoo(ZOO, chosen, sample)
    assert of_sample["images"] == 400
    assert "released_top1" not in of_sample


@pytest.mark.parametrize(("split", "images"), [("test", 359), ("train", 1438)])
def test_a_file(split, images, tmp_path):
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    model.save(tmp_path / "net.keras")
    digits = datasets.open_dataset("digits")
    path = str(tmp_path / "net.keras")
    chosen = evaluate.Evaluation(file=path, split=split)
    labels = getattr(digits, split).labels
    found = _scores(model, getattr(digits, split)).argmax(1) == labels
    result = evaluate.evaluate_file(chosen, digits)
    assert result.pop("top5") >= result["top1"]
    assert result == {
        "evaluated": path,
        "dataset": "digits",
        "split": split,
        "top1": pytest.approx(float(np.mean(found)), abs=2 / images),
        "images": images,
    }


def test_binary(run_command):
    done = run_command(
        evaluate.run,
        *("--model=root_resnet20", "--formats=keras", "--batch_size=200"),
        *("--weights=cifar10-force-l2-decomposed", "--dataset=cifar10-sample"),
    )
    result = json.loads(done.stdout)
    assert result["evaluated"].startswith("root_resnet20:1:root with weights")
    assert 0.8 < result["top1"]["keras"] < 0.97


def test_the_binary_takes_a_file(run_command, tmp_path):
    model = create_model("root_convnet:1", weights="cifar10")
    model.save(tmp_path / "net.keras")
    done = run_command(evaluate.run, "--file=net.keras", "--dataset=cifar10-sample")
    result = json.loads(done.stdout)
    assert (result["evaluated"], result["images"]) == ("net.keras", 400)
    assert result["top1"] > 0.7


@pytest.mark.parametrize("arguments", [[], ["--file=net.keras", "--weights=cifar10"]])
def test_nothing_or_two_things(run_command, arguments):
    done = run_command(evaluate.run, *arguments)
    assert done.returncode == 1
    expected = "error: Give either --file, or --weights of a --model"
    assert done.stderr.startswith(expected)
