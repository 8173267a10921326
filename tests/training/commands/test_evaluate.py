"""Accuracy of files and of released networks, on the sample of their test images."""

import dataclasses
import json
import os
import re
import subprocess
import sys

import helpers
import keras
import numpy as np
import pytest
from PIL import Image

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


@pytest.fixture
def saved_model(tmp_path):
    """A SavedModel whose scores are the sums of the colours, and that writes a file."""
    import tensorflow as tf

    module, written = tf.Module(), str(tmp_path / "written")

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3))])
    def serve(images):
        tf.io.write_file(written, "text")
        return {"scores": tf.reduce_sum(images, (1, 2))}

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path / "saved"), serve)
    return "saved"


def test_a_program_needs_trust(run_command, tmp_path, saved_model):
    colours = helpers.colours(tmp_path / "colours.npz")
    given = [f"--file={saved_model}", f"--dataset={colours}"]
    done = run_command(evaluate.run, *given)
    assert done.returncode == 1
    assert re.fullmatch(
        "error: `file` must be a SavedModel .*, or `trust` must be True. Received: "
        "'saved', whose operations WriteFile may read or write files, .*\n",
        done.stderr,
    )
    assert not (tmp_path / "written").exists()
    with pytest.warns(UserWarning, match="is a program: its operations run"):
        done = run_command(evaluate.run, *given, "--trust")
    assert json.loads(done.stdout)["top1"] == 1.0
    assert (tmp_path / "written").exists()


def test_a_host_of_ascii_without_a_home(tmp_path, saved_model):
    """In a process of its own: locale and folders are found when Python starts."""
    photographs = tmp_path / "größe"
    for name, colour in {"größe": "red", "中": "lime", "日本": "blue"}.items():
        (photographs / name).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (8, 8), colour).save(photographs / name / f"{number}.png")
    nowhere = dict.fromkeys(("HOME", "KERAS_HOME", "MPLCONFIGDIR"), "/dev/null/home")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from keras_roots.training.commands import evaluate; evaluate.run()",
            *("--trust", f"--file={saved_model}", "--dataset=./größe", "--split=train"),
        ],
        cwd=tmp_path,
        env={**os.environ, **nowhere, **locale, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert (result["images"], result["top1"]) == (12, 1.0)
    lines = done.stderr.splitlines()
    about = [line for line in lines if "SavedModel" in line]
    assert about == [
        "warning: The SavedModel 'saved' is a program: its operations run when it is "
        "loaded and called."
    ]
    assert "Traceback" not in done.stderr
