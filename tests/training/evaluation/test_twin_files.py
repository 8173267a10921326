"""Files of a network before and after it was optimised."""

import csv

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.export import LiteRTModel
from keras_roots.layers import GroupedConv2D
from keras_roots.training.data import Arrays, Dataset
from keras_roots.training.evaluation.twin_files import (
    measure_twin_files,
    read_kernels,
    render_twin_files,
)

FORMATS = {"float32": None, "int8": "int8"}


def network(zeros):
    """A network of three kernels, a part of whose weights are zero."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, use_bias=False),
            GroupedConv2D(8, 3, groups=2),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    random = np.random.default_rng(0)
    for layer in model.layers:
        if layer.weights:
            kernel, *bias = layer.get_weights()
            kept = random.permutation(kernel.size).reshape(kernel.shape)
            kernel = np.sign(random.normal(size=kernel.shape)) / 8
            kernel = np.where(kept >= zeros * kernel.size, kernel, 0)
            layer.set_weights([kernel, *bias])
    return model


@pytest.fixture(scope="module")
def dataset():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, 8, 8, 3), "uint8")
    split = Arrays(images, np.arange(20) % 2)
    return Dataset("noise", ("a", "b"), split, split, split, 8)


@pytest.fixture(scope="module")
def files(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    paths = {}
    for name, zeros in (("before", 0), ("prune", 0.75)):
        for form, quantize in FORMATS.items():
            path = folder / f"{name}-{form}.tflite"
            images = dataset.train.images.astype("float32")
            keras_roots.export_tflite(network(zeros), path, quantize, images)
            paths[name, form] = path
    return paths


def test_kernels_are_read(files):
    kernels = [layer.kernel for layer in network(0.75).layers if layer.weights]
    for form in FORMATS:
        found = read_kernels(files["prune", form])
        assert [kernel.dtype for kernel in found] == [form] * 3
        for kernel, expected in zip(found, kernels, strict=True):
            assert kernel.size == np.size(expected)
            assert np.count_nonzero(kernel) == np.count_nonzero(expected)
            assert set(np.unique(kernel / np.abs(kernel).max())) == {-1, 0, 1}


def test_a_row_per_file(files, dataset, tmp_path):
    rows = measure_twin_files(files, 1.0, dataset, tmp_path, runs=5)
    assert [(row["network"], row["format"]) for row in rows] == list(files)
    assert [row["nonzero"] for row in rows] == [1, 1, 0.25, 0.25]
    assert [row["values"] for row in rows] == [2, 2, 3, 3]
    assert rows[0]["ratio"] == 1
    images, labels = dataset.test.images.astype("float32"), dataset.test.labels
    for row, path in zip(rows, files.values(), strict=True):
        scores = LiteRTModel(path).predict(images)[0]
        assert row["top1"] == np.mean(scores.argmax(-1) == labels)
        assert row["bytes"] == path.stat().st_size > row["zlib_bytes"]
        assert row["ms"] > 0
    with open(tmp_path / "table.csv", newline="") as file:
        assert [row["nonzero"] for row in csv.DictReader(file)][2:] == ["0.25"] * 2
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[0].startswith("| network | format | top-1 | bytes | bytes, zlib |")
    assert lines[4].startswith("| prune | float32 | ")
    text = render_twin_files(rows)
    assert text.splitlines()[-1] == f"{rows[0]['processor']}; {rows[0]['versions']}"
    assert "25.00%" in text


def test_zeros_are_counted_from_those_before(files, dataset, tmp_path):
    first = {key: path for key, path in files.items() if key[0] == "before"}
    rows = measure_twin_files(first, 0.5, dataset, tmp_path, runs=1)
    assert [row["nonzero"] for row in rows] == [0.5, 0.5]
