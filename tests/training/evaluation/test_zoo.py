"""Released networks, measured on few images."""

import math
import statistics

import numpy as np
import pytest

from keras_roots.training.data import datasets
from keras_roots.training.evaluation import zoo
from keras_roots.training.evaluation.formats import FORMATS
from keras_roots.training.evaluation.zoo import Conditions


@pytest.fixture
def conditions(tmp_path):
    sample = datasets.open_dataset("cifar10-sample")
    return Conditions(sample, tmp_path, runs=2, say=lambda line: None)


def test_released_networks_are_measured(conditions):
    entries = zoo.find_entries("root_convnet", "cifar10-force-l2")
    found = zoo.measure_released(entries, conditions)
    assert [network.entry for network in found] == entries
    sample = conditions.dataset.test
    for network in found:
        images = sample.images.astype("float32")
        scores = network.model.predict(images, verbose=0)
        right = scores.argmax(-1) == sample.labels
        assert list(network.formats) == list(FORMATS)
        np.testing.assert_array_equal(network.formats["keras"].correct, right)
    whole, small = (network.columns(found[0]) for network in found)
    assert whole["litert_int8_ratio"] == 1.0
    assert small["litert_int8_bytes"] < whole["litert_int8_bytes"]
    assert small["macs_ratio"] == round(small["macs"] / whole["macs"], 4) < 1
    assert small["litert_float32_ms"] > 0
    with pytest.raises(ValueError, match="No root_alexnet is released as 'cifar10'"):
        zoo.find_entries("root_alexnet", "cifar10")


@pytest.mark.parametrize(("right", "images"), [(180, 200), (0, 50), (50, 50)])
def test_wilson_interval_has_the_bounds_that_just_allow_the_accuracy(right, images):
    correct = np.arange(images) < right
    z = statistics.NormalDist().inv_cdf(0.975)
    for bound in zoo.wilson_interval(correct):
        deviation = math.sqrt(bound * (1 - bound) / images)
        assert abs(right / images - bound) == pytest.approx(z * deviation, abs=1e-9)
