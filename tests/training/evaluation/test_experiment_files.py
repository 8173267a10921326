"""LiteRT files of an experiment's networks, measured."""

import zlib

import keras
import numpy as np
import pytest

from keras_roots.training.data import datasets
from keras_roots.training.evaluation import experiment_files
from keras_roots.training.evaluation.experiment_files import measure_files

pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")

FLOAT, INT8 = experiment_files.FORMATS


@pytest.fixture
def dataset():
    """Images of one colour, by which their class is known, but for one in four."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.integers(0, 20, (40, 8, 8, 3)) + 200 * labels[:, None, None, None]
    train = datasets.Arrays(images.astype("uint8"), labels)
    wrong = np.where(np.arange(40) % 4 == 0, 1 - labels, labels)
    test = datasets.Arrays(images.astype("uint8"), wrong)
    return datasets.Dataset("bright", ("dark", "bright"), train, test, test, 8)


def network(filters):
    """Tells bright images from dark ones by their mean."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 128, -1),
            keras.layers.Conv2D(filters, 3, padding="same", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    kernel, bias = model.get_layer("conv").get_weights()
    model.get_layer("conv").set_weights([np.abs(kernel), bias])
    weights = np.stack([-np.ones(filters), np.ones(filters)], axis=1) / filters
    model.layers[-1].set_weights([weights, np.zeros(2)])
    return model


def test_files_of_all_networks_are_measured_in_turns(dataset, monkeypatch):
    contents, times = {}, []
    compare = experiment_files.benchmarking.compare

    def measure(targets, runs):
        for name, path in targets.items():
            with open(path, "rb") as file:
                contents[name] = file.read()
        times.extend(compare(targets, runs=5))
        return times

    monkeypatch.setattr(experiment_files.benchmarking, "compare", measure)
    found = measure_files({"whole": network(32), "small": network(8)}, dataset)
    assert list(found) == ["whole", "small"]
    files = [(name, form) for name in found for form in (FLOAT, INT8)]
    assert list(contents) == [" ".join(file) for file in files]
    assert found["whole"][f"{FLOAT}_ratio"] == 1
    for (name, form), time in zip(files, times, strict=True):
        content = contents[f"{name} {form}"]
        assert {
            column.removeprefix(f"{form}_"): value
            for column, value in found[name].items()
            if column.startswith(form)
        } == {
            "error": 0.25,
            "bytes": len(content),
            "zlib_bytes": len(zlib.compress(content, 9)),
            "ms": pytest.approx(time.median_ms, abs=1e-4),
            "ratio": pytest.approx(time.ratio, abs=1e-4),
        }
        assert found[name]["processor"] == time.processor
    assert len(contents[f"whole {FLOAT}"]) > len(contents[f"small {FLOAT}"])
