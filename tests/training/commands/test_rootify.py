"""Rootifying trained networks by command."""

import json

import keras
import numpy as np
import pytest

from keras_roots.training.commands import rootify
from keras_roots.training.data import datasets
from keras_roots.training.trainer.recipes import Recipe


@pytest.fixture
def colours(tmp_path):
    """Classes that differ in their colour."""
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 48), ("test", 12)):
        labels = np.arange(count) % 3
        images = generator.integers(0, 100, (count, 8, 8, 3))
        images[np.arange(count), :, :, labels] += 150
        arrays |= {f"x_{split}": images.astype("uint8"), f"y_{split}": labels}
    path = tmp_path / "colours.npz"
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 128, -1),
            keras.layers.Conv2D(8, 3, activation="relu", name="first"),
            keras.layers.Conv2D(8, 3, use_bias=False, name="second"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def test_a_network_gets_groups_and_is_trained(model, colours, tmp_path, capsys):
    dataset = datasets.open_dataset(colours)
    recipe = Recipe(2, 8, 0.05)
    settings = rootify.Groups(groups=4, recalibration_images=20)
    arguments = (model, dataset, settings, str(tmp_path / "run"), recipe)
    result = rootify.rootify(*arguments)
    assert "second" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
    saved = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert saved.get_layer("second").groups == 4
    assert result["macs"] < result["dense_macs"]
    assert result["epochs"] == 2
    scores = model.predict(dataset.test.images.astype("float32"), verbose=0)
    assert result["dense_top1"] == np.mean(scores.argmax(-1) == dataset.test.labels)
    # The same again goes on, which is to say that nothing is left to do.
    again = rootify.rootify(*arguments)
    assert again["top1"] == result["top1"]
    with pytest.raises(ValueError, match="another configuration.*groups"):
        rootify.rootify(model, dataset, rootify.Groups(groups=2), *arguments[3:])


def test_without_training_the_weights_are_the_dense_ones(model, colours, tmp_path):
    dataset = datasets.open_dataset(colours)
    settings = rootify.Groups(
        groups=2, layers="sec.*", carry_over="slice", recalibration_images=0
    )
    result = rootify.rootify(model, dataset, settings, str(tmp_path / "run"))
    assert result["top1"] == result["rootified_top1"]
    saved = keras.models.load_model(tmp_path / "run" / "model.keras")
    np.testing.assert_array_equal(
        saved.get_layer("second").kernel[:, :, :, :4],
        model.get_layer("second").kernel[:, :, :4, :4],
    )


def test_binary(run_python, model, colours, tmp_path):
    model.save(tmp_path / "dense.keras")
    printed = run_python(
        f"""
import sys
from keras_roots.training.commands import rootify
sys.argv = ["rootify", "--from=dense.keras", "--dataset={colours}", "--groups=4"]
sys.argv += ["--epochs=0", "--carry_over=none", "--output_dir=run"]
rootify.run()
"""
    )
    result = json.loads(printed[printed.index("{") :])
    assert result["command"].startswith("keras-roots-rootify --from=dense.keras")
    assert 0 <= result["rootified_top1"] == result["top1"] <= 1
