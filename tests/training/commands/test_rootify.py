"""Rootifying trained networks by command."""

import json

import helpers
import keras
import numpy as np
import pytest

from keras_roots.training.commands import flags, rootify
from keras_roots.training.data import open_dataset


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Function of flags that runs the command on a saved network, and its result."""
    monkeypatch.chdir(tmp_path)
    helpers.colours("colours.npz", 48)
    _network().save("dense.keras")

    def run(*arguments):
        own = ["--from=dense.keras", "--dataset=colours.npz", "--output_dir=run"]
        rootify.main(flags.parse(rootify.run.classes, [*own, *arguments]))
        printed = capsys.readouterr().out
        return json.loads(printed[printed.index("{\n") :]), printed

    return run


def _network():
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


TRAINING = ("--epochs=2", "--batch_size=8", "--learning_rate=0.05")


def test_a_network_gets_groups_and_is_trained(run, tmp_path):
    settings = ("--groups=4", "--recalibration_images=20", *TRAINING)
    result, printed = run(*settings)
    assert "second" in printed
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
    saved = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert saved.get_layer("second").groups == 4
    dense = json.loads((tmp_path / "run" / "before" / "result.json").read_text())
    assert result["macs"] < dense["macs"]
    assert result["epochs"] == 2
    model = keras.models.load_model(tmp_path / "dense.keras")
    dataset = open_dataset("colours.npz")
    scores = model.predict(dataset.test.images.astype("float32"), verbose=0)
    expected = np.mean(scores.argmax(-1) == dataset.test.labels)
    assert result["earlier_top1"]["before"] == expected
    assert set(result["earlier_top1"]) == {"before", "grouped"}
    # The same again goes on, which is to say that nothing is left to do.
    assert run(*settings)[0] == result
    with pytest.raises(ValueError, match="another configuration.*groups"):
        run("--groups=2", *settings[1:])


def test_the_rate_is_a_fifth_of_the_recipe(run, tmp_path):
    run("--groups=2", "--epochs=1", "--batch_size=8")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["stages"]["train"]["recipe"]["learning_rate"] == pytest.approx(0.01)


def test_without_training_the_weights_are_the_dense_ones(run, tmp_path):
    result, _ = run(
        "--groups=2",
        "--layers=sec.*",
        "--carry_over=slice",
        "--recalibration_images=0",
        "--epochs=0",
    )
    saved = keras.models.load_model(tmp_path / "run" / "model.keras")
    model = keras.models.load_model(tmp_path / "dense.keras")
    np.testing.assert_array_equal(
        saved.get_layer("second").kernel[:, :, :, :4],
        model.get_layer("second").kernel[:, :, :4, :4],
    )
    assert set(result["earlier_top1"]) == {"before"}


def test_a_trained_network_is_needed():
    given = flags.parse(rootify.run.classes, ["--output_dir=run"])
    with pytest.raises(ValueError, match="A trained network is needed"):
        rootify.main(given)


def test_binary(run_command, tmp_path):
    helpers.colours(tmp_path / "colours.npz")
    _network().save(tmp_path / "dense.keras")
    printed = run_command(
        rootify.run,
        *("--from=dense.keras", "--dataset=colours.npz", "--groups=4"),
        *("--epochs=0", "--carry_over=none", "--output_dir=run"),
    ).stdout
    result = json.loads(printed[printed.index("{\n") :])
    assert result["command"].startswith("keras-roots-rootify --from=dense.keras")
    assert 0 <= result["top1"] <= 1
