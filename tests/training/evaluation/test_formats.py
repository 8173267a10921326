"""A released network, in every format, on the sample of its test images."""

import dataclasses
import json

import numpy as np
import pytest

from keras_roots import create_model
from keras_roots.models import released
from keras_roots.training.commands import evaluate
from keras_roots.training.data import datasets
from keras_roots.training.evaluation import accuracy, formats

NAME, WEIGHTS = "root_convnet:1", "cifar10"


@pytest.fixture(scope="module")
def sample():
    return datasets.open_dataset("cifar10-sample")


@pytest.fixture(scope="module")
def exported(sample, tmp_path_factory):
    model = create_model(NAME, weights=WEIGHTS)
    folder = tmp_path_factory.mktemp("exported")
    paths = formats.export(model, sample, folder)
    return model, paths, formats.rank_labels(model, paths, sample)


def test_the_files_are_there(exported):
    _, paths, _ = exported
    assert list(paths) == list(formats.FORMATS)
    assert paths["keras"] is None
    assert paths["litert_int8"].name == "root_convnet_1-litert_int8.tflite"
    sizes = [paths[kind].stat().st_size for kind in ("litert_float32", "litert_int8")]
    assert sizes[1] < sizes[0] / 2


def test_ranks_are_what_the_scores_say(exported, sample):
    model, _, ranks = exported
    images, labels = sample.test.images.astype("float32"), sample.test.labels
    order = np.argsort(-model.predict(images, verbose=0), axis=1)
    expected = 1 + np.argmax(order == labels[:, None], axis=1)
    np.testing.assert_array_equal(ranks["keras"], expected)
    assert np.mean(ranks["litert_float32"] == ranks["keras"]) > 0.99


@pytest.mark.parametrize("kind", formats.FORMATS)
def test_the_accuracy_is_near_the_released_one(exported, kind):
    """400 images: chance allows four times a deviation of 2 %."""
    entry = released.entry("root_convnet", (1, 1), WEIGHTS)
    found = accuracy.score(exported[2][kind])
    assert found.images == 400
    assert found.top1 == pytest.approx(entry["top1"][kind], abs=0.08)


def test_unknown_formats(sample, tmp_path):
    model = create_model(NAME)
    with pytest.raises(ValueError, match=r"`formats` must be of .*\['onnx'\]"):
        formats.export(model, sample, tmp_path, ["keras", "onnx"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("off", [0, 0.0001])
def test_evaluating_says_whether_the_release_is_reproduced(
    monkeypatch, exported, sample, off
):
    ranks = exported[2]
    right = {kind: float(np.mean(each == 1)) for kind, each in ranks.items()}
    entry = released.entry("root_convnet", (1, 1), WEIGHTS)
    entry = entry | {"top1": right | {"keras": right["keras"] + off}}
    monkeypatch.setattr(released, "index", lambda: [entry])
    whole = dataclasses.replace(sample, name="cifar10")
    result = evaluate.evaluate_model(NAME, WEIGHTS, whole, ["keras"])
    assert result["top1"] == {"keras": right["keras"]}
    assert result["released_top1"] == {"keras": right["keras"] + off}
    assert result["reproduced"] is (off == 0)
    assert result["top5"]["keras"] > 0.97
    of_sample = evaluate.evaluate_model(NAME, WEIGHTS, sample, ["keras"])
    assert of_sample["images"] == 400
    assert "released_top1" not in of_sample


# In a process of its own: absl's flags are global.
def test_binary(run_python):
    printed = run_python(
        """
import sys
from keras_roots.training.commands import evaluate
sys.argv = ["evaluate", "--model=root_resnet20", "--formats=keras", "--batch_size=200"]
sys.argv += ["--weights=cifar10-force-l2-decomposed", "--dataset=cifar10-sample"]
evaluate.run()
"""
    )
    result = json.loads(printed)
    assert result["evaluated"].startswith("root_resnet20:1:root with weights")
    assert 0.8 < result["top1"]["keras"] < 0.97
