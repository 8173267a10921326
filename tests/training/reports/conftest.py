"""Fixtures for tests of tables of released networks."""

import numpy as np
import pytest

from keras_roots.models import NetworkName
from keras_roots.training.data import datasets
from keras_roots.training.evaluation import FORMATS, Conditions, Measured, Released


@pytest.fixture
def conditions(tmp_path):
    sample = datasets.open_dataset("cifar10-sample")
    return Conditions(sample, tmp_path, runs=2, say=lambda line: None)


@pytest.fixture
def entry():
    """Function that makes an entry of the zoo's index."""

    def make(name, weights="cifar10", **others):
        network = NetworkName.parse(name)
        return {
            "model": network.model,
            "root": network.root,
            "topology": network.topology or "root",
            "groups": list(network.groups),
            "weights": weights,
            "macs": 100,
            "params": 10,
            "validation_top1": None,
            "command": "keras-roots-train",
            **others,
        }

    return make


@pytest.fixture
def measured():
    """Function that makes what was measured of an entry: wrong on some of 200 images.

    Its arguments: the entry, the numbers of these images, the ratio of its time to 2 ms
    and the model.
    """

    def make(entry, wrong, ratio=1.0, model=None):
        ranks = np.ones(200, int)
        ranks[list(wrong)] = 3
        file = {"bytes": 1000, "ms": 2 * ratio, "ratio": ratio}
        formats = {
            form: Measured(
                entry["model"], form, ranks, **({} if form == "keras" else file)
            )
            for form in FORMATS
        }
        return Released(entry, model, formats)

    return make
