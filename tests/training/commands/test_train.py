import dataclasses
import json
import os
import signal
import subprocess
import sys

import helpers
import keras
import numpy as np
import pytest
from PIL import Image

import keras_roots
from keras_roots.training import stages
from keras_roots.training.commands import train
from keras_roots.training.data import open_dataset
from keras_roots.training.networks import Zoo
from keras_roots.training.stages import Context
from keras_roots.training.trainer.recipes import Recipe

RECIPE = Recipe(3, 8, 0.02, augmentation="pad_crop_mirror", warmup=0.1)


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return helpers.colours(tmp_path_factory.mktemp("data") / "colours.npz", 32)


def _train(npz, output, **changes):
    """Trains as the binary does, with changes to the recipe or the network."""
    recipe = {
        name: changes.pop(name) for name in list(changes) if hasattr(RECIPE, name)
    }
    dataset = open_dataset(changes.pop("dataset", npz))
    network = Zoo(**{"model": "root_nin", "root": 8, **changes})
    recipe = dataclasses.replace(RECIPE, **recipe)
    context = Context(dataset, output, say=lambda line: None, verbose=False)
    return stages.train(network, recipe, context)


def _network(weights):
    return keras_roots.RootNiN(
        root=8, classes=3, input_shape=(8, 8, 3), weights=weights
    )


def _rows(directory):
    return helpers.read_rows(directory / "log.csv")


def _weights(file):
    return keras.models.load_model(file, compile=False).get_weights()


def _script(code, *arguments, **environment):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_learns_and_leaves_its_files(npz, tmp_path):
    output = tmp_path / "run"
    result = _train(npz, output, epochs=8)
    assert result["top1"] > 0.8
    assert result["images"] == 12
    rows = _rows(output)
    assert [row["epoch"] for row in rows] == [str(i) for i in range(1, 9)]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert sorted(file.name for file in output.iterdir() if file.is_file()) == [
        "best.weights.h5",
        "config.json",
        "last.weights.h5",
        "log.csv",
        "model.keras",
        "result.json",
    ]
    assert json.loads((output / "result.json").read_text()) == result
    model = keras.models.load_model(output / "model.keras")
    assert {type(layer).__name__ for layer in model.layers} >= {"GroupedConv2D"}
    assert not model.losses
    for name in ("last", "best"):
        _network(weights=output / f"{name}.weights.h5")


def test_a_folder_of_photographs_trains(tmp_path):
    """Streamed by TensorFlow, unlike the arrays of the other tests."""
    for split, count in (("train", 8), ("validation", 4)):
        for label, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
            folder = tmp_path / "photos" / split / label
            folder.mkdir(parents=True)
            for i in range(count // 2):
                Image.new("RGB", (12 + i, 9), colour).save(folder / f"{i}.png")
    result = _train(
        str(tmp_path / "photos"),
        tmp_path / "run",
        image_size=8,
        batch_size=4,
        epochs=2,
        augmentation="scale_aspect_colour",
    )
    assert result["images"] == 4
    assert len(_rows(tmp_path / "run")) == 2


def test_a_finished_run_is_not_trained_again(npz, tmp_path):
    first = _train(npz, tmp_path / "run", epochs=1)
    again = _train(npz, tmp_path / "run", epochs=1)
    assert again == first
    assert len(_rows(tmp_path / "run")) == 1


def test_training_in_bfloat16(npz, tmp_path):
    result = _train(npz, tmp_path / "run", precision="mixed_bfloat16", epochs=1)
    assert result["images"] == 12


def test_averaged_weights_are_the_ones_saved(npz, tmp_path):
    """With a momentum of almost 1 the average stays where the first step went."""
    _train(npz, tmp_path / "run", epochs=3, ema=0.999999)

    def classifier(weights):
        keras.utils.set_random_seed(0)
        return _network(weights).get_layer("conv3c").kernel.numpy()

    initial = classifier(None)
    last = classifier(tmp_path / "run" / "last.weights.h5")
    best = classifier(tmp_path / "run" / "best.weights.h5")
    model = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    saved = model.get_layer("conv3c").kernel.numpy()
    assert np.linalg.norm(saved - initial) < 0.3 * np.linalg.norm(last - initial)
    np.testing.assert_allclose(best, saved, atol=1e-4)


def test_another_configuration_is_refused(npz, tmp_path):
    _train(npz, tmp_path / "run", epochs=1)
    before = (tmp_path / "run" / "model.keras").read_bytes()
    with pytest.raises(ValueError, match="start.root .there 8, here 4.*"):
        _train(npz, tmp_path / "run", epochs=1, root=4)
    assert (tmp_path / "run" / "model.keras").read_bytes() == before


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"model": "root_vgg"}, "root_nin.*Received: name='root_vgg'"),
        ({"root": 5}, "Roots that work"),
        ({"dataset": "/nowhere"}, "does not exist"),
        ({"batch_size": 33}, "at most.*32"),
        ({"augmentation": "spin"}, "Received: augmentation='spin'"),
        ({"image_size": 1}, "at least"),
        ({"weights": "missing.h5"}, "Received: weights='missing.h5'"),
    ],
)
def test_what_is_impossible_leaves_no_directory(npz, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        _train(npz, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_divergence_stops_with_the_last_good_checkpoint(npz, tmp_path):
    changes = {"epochs": 6, "learning_rate": 1e18, "warmup": 0.9, "batch_size": 4}
    with pytest.raises(FloatingPointError, match="learning_rate"):
        _train(npz, tmp_path / "run", **changes)
    kept = tmp_path / "run" / "last.weights.h5"
    if kept.exists():
        weights = _network(weights=kept).get_weights()
        assert all(np.isfinite(weight).all() for weight in weights)


# Trains one module of GoogLeNet, which an auxiliary head reads as well. "KILLED" ends
# it within the second epoch of four steps.
COMMAND = """
import itertools, os, signal
from keras_roots.models import googlenet
from keras_roots.training.commands import train
from keras_roots.training.trainer import callbacks
googlenet.MODULES = {"inception_4a": googlenet.MODULES["inception_4a"]}
googlenet.AUXILIARY = {"aux1": "inception_4a"}
steps = itertools.count(1)
def kill(self, batch, logs=None):
    if next(steps) == 7:
        os.kill(os.getpid(), signal.SIGKILL)
if "KILLED" in os.environ:
    callbacks.Reseed.on_train_batch_begin = kill
train.run()
"""


@pytest.mark.slow
def test_killed_and_started_again_it_ends_with_the_same_bits(npz, tmp_path):
    """GoogLeNet has dropout, whose random state has to survive too."""

    def start(output, **environment):
        flags = {
            "model": "root_googlenet",
            "root": 8,
            "image_size": 32,
            "dataset": npz,
            "epochs": 3,
            "batch_size": 8,
            "augmentation": "pad_crop_mirror",
            "ema": 0.9,
            "learning_rate": 1e-4,
            "output_dir": output,
        }
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        return _script(COMMAND, "--deterministic", *arguments, **environment)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = start(whole)
    assert done.returncode == 0, done.stderr[-3000:]
    assert start(killed, KILLED="1").returncode == -signal.SIGKILL
    assert (killed / "last.weights.h5").exists()
    assert not (killed / "model.keras").exists()
    done = start(killed)
    assert done.returncode == 0, done.stderr[-3000:]
    for one, other in zip(
        _weights(whole / "model.keras"), _weights(killed / "model.keras"), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    timing = {"seconds", "images_per_second"}
    for one, other in zip(_rows(whole), _rows(killed), strict=True):
        assert all(one[name] == other[name] for name in one.keys() - timing)


MIRRORED = """
import json, sys
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from keras_roots.training import data, networks, stages, trainer
from keras_roots.training.trainer import distribution
network = networks.Zoo(model="root_nin", root=8)
dataset = data.open_dataset(sys.argv[1])
for name in ("one_device", "mirrored"):
    context = stages.Context(dataset, f"{sys.argv[2]}/{name}", distribution=name)
    stages.train(network, trainer.Recipe(2, 8, 1e-4), context)
with distribution.scope("mirrored") as replicas:
    assert replicas == 2
"""


@pytest.mark.slow
def test_two_devices_train_as_one(npz, tmp_path):
    done = _script(MIRRORED, npz, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    directories = [tmp_path / name for name in ("one_device", "mirrored")]
    one, two = map(_rows, directories)
    for left, right in zip(one, two, strict=True):
        for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
            assert float(left[name]) == pytest.approx(float(right[name]), rel=1e-5)
    weights = [
        _weights(tmp_path / name / "model.keras") for name in ("one_device", "mirrored")
    ]
    for left, right in zip(*weights, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)


JAX = """
import sys

class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTensorFlow())
import keras
from keras_roots.training import data, networks, stages, trainer
assert keras.backend.backend() == "jax"
recipe = trainer.Recipe(
    4, 8, 0.02, augmentation="pad_crop_mirror", ema=0.5, flip="alternating",
    initial_size=6,
)
network = networks.Zoo(model="root_nin", root=8)
context = stages.Context(data.open_dataset(sys.argv[1]), sys.argv[2])
result = stages.train(network, recipe, context)
again = stages.train(network, recipe, context)
assert result == again
print(result["top1"])
"""


@pytest.mark.slow
def test_jax_trains_without_tensorflow_and_weights_interchange(npz, tmp_path):
    pytest.importorskip("jax")
    # TensorBoard, whose callback imports TensorFlow, is installed.
    board = tmp_path / "site" / "tensorboard"
    board.mkdir(parents=True)
    (board / "__init__.py").touch()
    path = os.pathsep.join(filter(None, [str(board.parent), os.getenv("PYTHONPATH")]))
    done = _script(JAX, npz, tmp_path / "run", KERAS_BACKEND="jax", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(_rows(tmp_path / "run")) == 4
    model = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    with np.load(npz) as arrays:
        scores = model.predict(arrays["x_test"].astype("float32"), verbose=0)
        top1 = (scores.argmax(-1) == arrays["y_test"]).mean()
    assert float(done.stdout.split()[-1]) == pytest.approx(top1)


def test_the_binary_says_what_is_wrong_in_one_line(run_command, tmp_path):
    done = run_command(
        train.run, "--model=root_nin", "--root=0", f"--output_dir={tmp_path}/run"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: `root` must be a positive")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
