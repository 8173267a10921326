"""Quantisation-aware training, pruning and clustering of a network, and its files."""

import importlib.util
import json
import sys
import zlib

import helpers
import keras
import numpy as np
import pytest

from keras_roots import sparsity
from keras_roots.export.runner import LiteRTModel
from keras_roots.training.data import datasets
from keras_roots.training.evaluation import twin_files
from keras_roots.training.stages import optimize
from keras_roots.training.stages.context import Context
from keras_roots.training.stages.optimize import (
    METHODS,
    MIN_AGREEMENT,
    Optimization,
    Optimize,
)
from keras_roots.training.stages.stage import run
from keras_roots.training.trainer.recipes import Recipe
from keras_roots.utils import read_csv

needs_tfmot = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="needs the extra `optimize`",
)
KERNELS = ("first", "grouped", "head")
RECIPE = Recipe(2, 8, 0.01, augmentation="pad_crop")
SETTINGS = {
    "qat": Optimization("qat"),
    "prune": Optimization("prune", sparsity=0.75, begin=0.1, end=0.8),
    "cluster": Optimization("cluster", clusters=4),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "colours.npz"
    return datasets.open_dataset(helpers.colours(path, 40, 24))


@pytest.fixture(scope="module")
def trained(dataset):
    """A network that knows the colours, its weights of many values."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 128, -1)(inputs)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="first")(x)
    x = keras.layers.Conv2D(8, 3, groups=2, use_bias=False, name="grouped")(x)
    x = keras.layers.BatchNormalization(momentum=0.5)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(3, activation="softmax", name="head")(x)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(dataset.train.images, dataset.train.labels, 8, epochs=6, verbose=0)
    return model


@pytest.fixture
def model(trained):
    copy = keras.models.clone_model(trained)
    copy.set_weights(trained.get_weights())
    return copy


def optimize_in(folder, model, dataset, settings, recipe=RECIPE):
    """Returns the result of the stage, and the rows of its table."""
    context = Context(dataset, folder, say=lambda line: None, verbose=False)
    stage = Optimize(settings=settings, recipe=recipe)
    outcome = run([stage], context, lambda: model, {"start": "mine"})
    return outcome.result(""), read_csv(folder / "table.csv")


def kernels(model):
    return [model.get_layer(name).get_weights()[0] for name in KERNELS]


def accuracy(predict, dataset):
    scores = predict(dataset.test.images.astype("float32"))
    return np.mean(scores.argmax(-1) == dataset.test.labels)


@needs_tfmot
@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_from_a_network_to_files(method, model, trained, dataset, tmp_path):
    folder = tmp_path / "run"
    result, rows = optimize_in(folder, model, dataset, SETTINGS[method])

    assert json.loads((folder / "result.json").read_text()) == result
    saved = keras.models.load_model(folder / "model.keras")
    assert result["top1"] == accuracy(saved.predict, dataset)
    assert result["before_top1"] == accuracy(trained.predict, dataset) > 0.9
    assert any(
        not np.array_equal(one, two)
        for one, two in zip(kernels(saved), kernels(trained), strict=True)
    )

    forms = ["int8"] if method == "qat" else ["float32", "int8"]
    expected = [("before", "float32"), ("before", "int8")]
    expected += [(method, form) for form in forms]
    assert [(row["network"], row["format"]) for row in rows] == expected
    lines = (folder / "table.md").read_text().splitlines()[2:]
    assert [line.split(" | ")[:3] for line in lines] == [
        [f"| {row['network']}", row["format"], f"{row['top1']:.2%}"] for row in rows
    ]
    for row in rows:
        path = folder / f"{row['network']}-{row['format']}.tflite"
        content = path.read_bytes()
        assert row["bytes"] == len(content)
        assert row["zlib_bytes"] == len(zlib.compress(content, 9))
        predict = LiteRTModel(path).predict
        assert row["top1"] == accuracy(lambda images, f=predict: f(images)[0], dataset)
        assert result["files"][f"{row['network']} {row['format']}"] == row["top1"]
        assert row["ms"] > 0
    assert rows[0]["nonzero"] == rows[0]["ratio"] == 1
    _CHECKS[method](saved, result, rows, folder)

    # The same again goes on, which is to say that nothing is left to do.
    again = keras.models.clone_model(model)
    again.set_weights(trained.get_weights())
    repeated, _ = optimize_in(folder, again, dataset, SETTINGS[method])
    assert repeated["files"] == result["files"]
    with pytest.raises(ValueError, match="another configuration.*settings"):
        optimize_in(folder, again, dataset, Optimization(method, clusters=5))


def _check_qat(saved, result, rows, folder):
    assert result["agreement"]["images"] == 24
    assert result["agreement"]["top1_agreement"] >= MIN_AGREEMENT
    assert result["agreement"]["difference"] < 0.05


def _check_prune(saved, result, rows, folder):
    zeros = [np.mean(kernel == 0) for kernel in kernels(saved)]
    assert zeros == [0.75, 0.75, 0.75]
    assert result["sparsity"] == 0.75
    # Small weights are zero in int8 before as well.
    assert rows[2]["nonzero"] == 0.25
    assert rows[3]["nonzero"] == pytest.approx(0.25, abs=0.02)
    assert rows[2]["zlib_bytes"] < rows[0]["zlib_bytes"]


def _check_cluster(saved, result, rows, folder):
    assert all(np.unique(kernel).size <= 4 for kernel in kernels(saved))
    found = twin_files.read_kernels(folder / "cluster-int8.tflite")
    assert len(found) == 3
    # Packed groups have zeros between them.
    assert all(np.unique(kernel[kernel != 0]).size <= 4 for kernel in found)
    assert rows[3]["values"] <= 5 < rows[1]["values"]
    head = twin_files.read_kernels(folder / "cluster-float32.tflite")[-1]
    np.testing.assert_array_equal(head.T, kernels(saved)[-1])


_CHECKS = {"qat": _check_qat, "prune": _check_prune, "cluster": _check_cluster}


@needs_tfmot
@pytest.mark.parametrize(
    ("changes", "recipe", "message"),
    [
        ({"method": "shrink"}, {}, "`method`.*qat.*method='shrink'"),
        ({"begin": 0.8}, {}, "`begin` and `end`.*begin=0.8, end=0.75"),
        ({"end": 1.1}, {}, "end=1.1"),
        ({"method": "prune", "sparsity": 1.0}, {}, "sparsity=1.0"),
        ({"method": "cluster", "clusters": 1}, {}, "clusters=1"),
        ({"preserve_zeros": True}, {}, "`preserve_zeros` needs"),
        ({}, {"precision": "mixed_bfloat16"}, "precision='mixed_bfloat16'"),
        ({}, {"ema": 0.9}, "ema=0.9"),
        ({}, {"frozen_epochs": 1}, "without frozen_epochs.*: frozen_epochs=1$"),
        ({}, {"body_rate": 0.0}, ": body_rate=0.0$"),
        ({}, {"class_weight": "balanced"}, ": class_weight='balanced'$"),
        ({}, {"patience": 2}, ": patience=2$"),
        ({}, {"batch_size": 100}, "batch_size=100"),
    ],
)
def test_impossible_arguments_leave_the_folder_free(
    changes, recipe, message, model, dataset, tmp_path
):
    recipe = Recipe(**{"epochs": 1, "batch_size": 8, "learning_rate": 0.1, **recipe})
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match=message):
        settings = Optimization(**{"method": "qat", **changes})
        optimize_in(folder, model, dataset, settings, recipe)
    assert not folder.exists() or not list(folder.iterdir())


@needs_tfmot
def test_two_outputs_are_refused(dataset, tmp_path):
    inputs = keras.Input((8, 8, 3))
    outputs = [keras.layers.Flatten()(inputs)] * 2
    with pytest.raises(ValueError, match="`model` must have one output.*2 outputs"):
        network = keras.Model(inputs, outputs)
        optimize_in(tmp_path / "run", network, dataset, Optimization("qat"))


@needs_tfmot
def test_zeros_are_held(model):
    sparse = sparsity.prune(model, 0.5, layers=["first"])
    held = optimize._hold_zeros(sparse)
    layer = held.get_layer("first")
    layer.kernel.assign(layer.kernel_constraint(layer.kernel + 1.0))
    before = sparse.get_layer("first").get_weights()[0]
    np.testing.assert_array_equal(
        layer.get_weights()[0], np.where(before == 0, 0, before + np.float32(1))
    )


def test_the_extra_is_named(model, dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    folder = tmp_path / "run"
    with pytest.raises(ImportError, match=r"keras_roots\[optimize\]"):
        optimize_in(folder, model, dataset, Optimization("qat"))
    assert not folder.exists()
