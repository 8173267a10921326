"""Quantisation-aware training, pruning and clustering of a network, and its files."""

import csv
import importlib.util
import json
import sys
import zlib

import keras
import numpy as np
import pytest

from keras_roots import sparsity
from keras_roots.export.runner import LiteRTModel
from keras_roots.training.data import datasets
from keras_roots.training.evaluation import twin_files
from keras_roots.training.stages import optimizing
from keras_roots.training.stages.optimizing import Settings
from keras_roots.training.stages.optimizing_methods import METHODS, MIN_AGREEMENT
from keras_roots.training.trainer.recipes import Recipe

needs_tfmot = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="needs the extra `optimize`",
)
KERNELS = ("first", "grouped", "head")
RECIPE = Recipe(2, 8, 0.01, augmentation="pad_crop")
SETTINGS = {
    "qat": Settings("qat"),
    "prune": Settings("prune", sparsity=0.75, begin=0.1, end=0.8),
    "cluster": Settings("cluster", clusters=4),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Classes that differ in their colour."""
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 40), ("test", 24)):
        labels = np.arange(count) % 3
        images = generator.integers(0, 100, (count, 8, 8, 3))
        images[np.arange(count), :, :, labels] += 150
        arrays |= {f"x_{split}": images.astype("uint8"), f"y_{split}": labels}
    path = tmp_path_factory.mktemp("data") / "colours.npz"
    np.savez(path, **arrays)
    return datasets.open_dataset(str(path))


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
    arguments = (dataset, SETTINGS[method], str(folder), RECIPE)
    result, rows = optimizing.optimize(model, *arguments)

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
    with open(folder / "table.csv", newline="") as file:
        assert [row["top1"] for row in csv.DictReader(file)] == [
            str(row["top1"]) for row in rows
        ]
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
    repeated, _ = optimizing.optimize(again, *arguments)
    assert repeated["files"] == result["files"]
    with pytest.raises(ValueError, match="another configuration.*settings"):
        others = Settings(method, preserve_zeros=False, clusters=5)
        optimizing.optimize(again, dataset, others, *arguments[2:])


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
    "method",
    [
        "prune",
        pytest.param("cluster", marks=pytest.mark.slow),
        pytest.param("qat", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on(method, model, dataset, tmp_path):
    """Weights, ranges, masks, clusters and momentum are those of a run in one go."""
    import tf_keras

    from keras_roots.training.stages.twin_training import fit
    from keras_roots.training.trainer.fit import set_seed
    from keras_roots.training.trainer.prepare import prepare

    def stop(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    def run(folder, callbacks=()):
        set_seed(0)
        trainee = prepare(model, RECIPE)
        samples = dataset.train.sample(8, 8, 0)
        twin = METHODS[method].make(trainee, SETTINGS[method], 10, samples)
        folder.mkdir(exist_ok=True)
        callbacks = [*callbacks, optimizing.tf_keras_twin.pruning_callback()]
        arguments = (twin, model, dataset, RECIPE, folder)
        variables = twin.weights
        try:
            fit(*arguments, callbacks=callbacks, verbose=False)
        except KeyboardInterrupt:
            return None
        return [variable.numpy() for variable in variables]

    at_once = run(tmp_path / "at_once")
    stopping = tf_keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    assert run(tmp_path / "stopped", [stopping]) is None
    went_on = run(tmp_path / "stopped")
    for one, two in zip(at_once, went_on, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    with open(tmp_path / "stopped" / "log.csv", newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert len(rates) == 2 and rates[0] > rates[1]
    # Nothing is left to do.
    for one, two in zip(went_on, run(tmp_path / "stopped"), strict=True):
        np.testing.assert_array_equal(one, two)


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
        ({}, {"batch_size": 100}, "batch_size=100"),
    ],
)
def test_impossible_arguments_leave_no_trace(
    changes, recipe, message, model, dataset, tmp_path
):
    settings = Settings(**{"method": "qat", **changes})
    recipe = Recipe(**{"epochs": 1, "batch_size": 8, "learning_rate": 0.1, **recipe})
    with pytest.raises(ValueError, match=message):
        optimizing.optimize(model, dataset, settings, str(tmp_path / "run"), recipe)
    assert not (tmp_path / "run").exists()


@needs_tfmot
def test_two_outputs_are_refused(dataset, tmp_path):
    inputs = keras.Input((8, 8, 3))
    outputs = [keras.layers.Flatten()(inputs)] * 2
    with pytest.raises(ValueError, match="`model` must have one output.*2 outputs"):
        optimizing.optimize(
            keras.Model(inputs, outputs), dataset, Settings("qat"), "run", RECIPE
        )


@needs_tfmot
def test_zeros_are_held(model):
    sparse = sparsity.prune(model, 0.5, layers=["first"])
    held = optimizing._hold_zeros(sparse)
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
        optimizing.optimize(model, dataset, Settings("qat"), str(folder), RECIPE)
    assert not folder.exists()
