"""A released network, in every format, on the sample of its test images."""

import numpy as np
import pytest

from keras_roots import create_model
from keras_roots.models import NetworkName, released
from keras_roots.training.data import datasets
from keras_roots.training.evaluation import formats
from keras_roots.training.evaluation.measure import measure

NAME, WEIGHTS = "root_convnet:1", "cifar10"


@pytest.fixture(scope="module")
def sample():
    return datasets.open_dataset("cifar10-sample")


@pytest.fixture(scope="module")
def exported(sample, tmp_path_factory):
    model = create_model(NAME, weights=WEIGHTS)
    folder = tmp_path_factory.mktemp("exported")
    paths = formats.export(model, sample, folder)
    return model, paths, measure({NAME: paths}, sample, runs=0)[NAME]


def test_the_files_are_there(exported):
    model, paths, _ = exported
    assert list(paths) == list(formats.FORMATS)
    assert paths["keras"] is model
    assert paths["litert_int8"].name == "root_convnet_1-litert_int8.tflite"
    sizes = [paths[kind].stat().st_size for kind in ("litert_float32", "litert_int8")]
    assert sizes[1] < sizes[0] / 2


def test_ranks_are_what_the_scores_say(exported, sample):
    model, _, measured = exported
    ranks = {kind: each.ranks for kind, each in measured.items()}
    images, labels = sample.test.images.astype("float32"), sample.test.labels
    order = np.argsort(-model.predict(images, verbose=0), axis=1)
    expected = 1 + np.argmax(order == labels[:, None], axis=1)
    np.testing.assert_array_equal(ranks["keras"], expected)
    assert np.mean(ranks["litert_float32"] == ranks["keras"]) > 0.99


@pytest.mark.parametrize("kind", formats.FORMATS)
def test_the_accuracy_is_near_the_released_one(exported, kind):
    """400 images: chance allows four times a deviation of 2 %."""
    entry = released.entry(NetworkName.parse(NAME), WEIGHTS)
    found = exported[2][kind].score
    assert found.images == 400
    assert found.top1 == pytest.approx(entry["top1"][kind], abs=0.08)


def test_unknown_formats(sample, tmp_path):
    model = create_model(NAME)
    with pytest.raises(ValueError, match=r"`formats` must be of .*'onnx'\]"):
        formats.export(model, sample, tmp_path, ["keras", "onnx"])
    assert not list(tmp_path.iterdir())
