import os

import keras
import numpy as np
import pytest
from keras import layers

import keras_roots
from keras_roots.export.runner import LiteRTModel
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.training import runs
from keras_roots.training.commands import export
from keras_roots.training.networks import Start


def _network(shape=(8, 8, 3)):
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Rescaling(1 / 127.5, -1.0, name="normalization"),
            layers.Conv2D(8, 3, activation="relu"),
            GroupedConv2D(8, 3, groups=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(0, 3)),
        ],
        name="network",
    )


@pytest.fixture
def data_set(tmp_path):
    """A data set of noisy images of random colours, as an .npz file."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split in ("train", "test"):
        colours = rng.integers(20, 236, (40, 1, 1, 3))
        noise = rng.integers(-20, 20, (40, 8, 8, 3))
        arrays[f"x_{split}"] = (colours + noise).astype("uint8")
        arrays[f"y_{split}"] = np.arange(40) % 4
    path = tmp_path / "images.npz"
    np.savez(path, **arrays)
    return str(path)


def test_images_come_in_the_models_size(data_set):
    samples = export.sample_images(_network(), export.Images(dataset=data_set), 12)
    assert samples.shape == (12, 8, 8, 3)
    with np.load(data_set) as arrays:
        for sample in samples:
            assert (arrays["x_train"] == sample).all((1, 2, 3)).any()
    with pytest.raises(ValueError, match="square images"):
        export.sample_images(_network((8, 9, 3)), export.Images(dataset=data_set), 2)


def test_a_model_of_two_inputs_is_exported_from_python(data_set):
    pair = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    model = keras.Model(pair, keras.layers.Add()(pair))
    with pytest.raises(ValueError, match="one input.*`calibration_data` for each"):
        export.sample_images(model, export.Images(dataset=str(data_set)), 2)


def test_a_saved_model_is_written(tmp_path):
    chosen = export.Export(output=str(tmp_path / "net"), format="saved_model")
    chosen.check()
    assert export.export(_network(), chosen).lowering == "auto"
    assert (tmp_path / "net" / "saved_model.pb").exists()


@pytest.mark.parametrize("format", ["tflite", "saved_model"])
def test_the_tolerance_is_that_of_the_export(format, tmp_path, monkeypatch):
    name = f"export_{format}"
    monkeypatch.setattr(keras_roots, name, lambda *args, **how: how["tolerance"])
    chosen = export.Export(output=str(tmp_path / "net"), format=format, tolerance=0.25)
    chosen.check()
    assert export.export(_network(), chosen) == 0.25


@pytest.mark.parametrize(
    ("format", "options", "text"),
    [
        ("tflite", {"lowering": "native"}, "--lowering is for --format=saved_model"),
        ("saved_model", {"quantize": "int8"}, "--quantize is for --format=tflite"),
        ("saved_model", {"io": "int8"}, "--io is for"),
        ("saved_model", {"optimize": ("latency",)}, "--optimize is for"),
        ("saved_model", {"target": "neon"}, "--target is for"),
        ("saved_model", {"latency_table": "ms.csv"}, "--latency_table is for"),
        ("saved_model", {"min_agreement": 0.0}, "--min_agreement is for"),
        ("saved_model", {"max_error": 0.0}, "--max_error is for"),
        ("tflite", {"output": None}, "--output must be given"),
    ],
)
def test_options_without_effect_are_refused(format, options, text):
    chosen = export.Export(**{"output": "net", "format": format} | options)
    with pytest.raises(ValueError, match=text):
        chosen.check()


@pytest.mark.parametrize(
    ("option", "value"), [("quantize", "none"), ("io", "int4"), ("target", "z80")]
)
def test_unknown_names_are_refused(option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be one of"):
        export.Export(**{option: value})


def test_the_command_exports(run_command, data_set, tmp_path):
    _network().save(tmp_path / "net.keras")
    output = tmp_path / "net.tflite"
    done = run_command(
        export.run,
        f"--from={tmp_path / 'net.keras'}",
        f"--dataset={data_set}",
        "--quantize=int8",
        "--io=uint8",
        "--optimize=latency",
        "--target=neon",
        "--calibration_images=20",
        f"--output={output}",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "int8, uint8 input and output" in done.stdout
    assert "20 images" in done.stdout
    assert LiteRTModel(output).dtype == np.uint8


def test_the_command_says_what_is_wrong(run_command, tmp_path):
    output = tmp_path / "missing" / "net.tflite"
    done = run_command(
        export.run,
        "--model=root_nin",
        "--root=8",
        "--image_size=8",
        f"--output={output}",
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: `path` must be in an existing folder")
    assert os.listdir(tmp_path) == []


def test_images_for_int8_must_be_named(run_command, tmp_path):
    _network().save(tmp_path / "net.keras")
    done = run_command(
        export.run,
        f"--from={tmp_path / 'net.keras'}",
        "--quantize=int8",
        f"--output={tmp_path / 'net.tflite'}",
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: --dataset must be given with --quantize=int8")
    assert os.listdir(tmp_path) == ["net.keras"]


def test_a_run_knows_its_images(data_set, tmp_path):
    runs.claim_directory(tmp_path / "run", {"start": {}, "dataset": data_set})
    file = str(tmp_path / "run" / "model.keras")
    assert export.Images().of(Start(path=file)).dataset == data_set
    given = export.Images(dataset="digits").of(Start(path=file))
    assert given.dataset == "digits"


def test_released_weights_know_their_images():
    start = Start(model="root_nin", root=8, weights="cifar10")
    assert export.Images().of(start).dataset == "cifar10"
    with pytest.raises(ValueError, match="--dataset must be given"):
        export.Images().of(Start(model="root_nin"))


def test_no_images_are_a_default():
    assert export.Images().dataset is None
    assert "digits" not in export.Images.__doc__


def test_a_file_or_a_model_not_both(run_command):
    for model in ("--model=root_nin", "--weights=cifar10"):
        done = run_command(
            export.run,
            "--from=net.keras",
            model,
            "--quantize=none",
            "--output=net.tflite",
        )
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert last == "error: Give --from, or --model with --weights, not both"
