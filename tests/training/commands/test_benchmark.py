import csv
import subprocess
import sys

import helpers
import keras
import pytest
from keras import layers

import keras_roots
from keras_roots.benchmarking.cases import find_model
from keras_roots.training.commands import benchmark


def test_models_are_decomposed_besides(monkeypatch):
    model = helpers.chain(*(layers.Conv2D(64, 1) for _ in range(3)))
    monkeypatch.setattr(benchmark.networks, "parse_model", lambda text, size: model)
    assert benchmark.Targets(models=("m",)).build() == [model]
    first, small = benchmark.Targets(models=("m",), decompose=0.7).build()
    assert first is model
    assert small.name == f"{model.name}_decomposed_0.7"
    ratio = keras_roots.profile(small).macs / keras_roots.profile(model).macs
    assert 0.6 < ratio <= 0.7


@pytest.mark.parametrize("name", ["VGG16", "MobileNetV3Small"])
def test_images_have_the_size_that_is_given(name):
    """Also where the network takes images of any size, and else its own."""
    text = f"keras.applications.{name}"
    for size, side in ((96, 96), (None, 224)):
        targets = benchmark.Targets(models=(text,), image_size=size)
        (case,) = benchmark.Ways().cases(targets).values()
        assert case.target.input_shape == (None, side, side, 3)
        assert find_model(case) is case.target


def test_networks_of_another_size_are_refused(tmp_path):
    path = tmp_path / "net.keras"
    keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)]).save(path)
    for given in ({"files": (str(path),)}, {"models": (str(path),)}):
        targets = benchmark.Targets(**given, image_size=9)
        (case,) = benchmark.Ways().cases(targets).values()
        with pytest.raises(ValueError, match=r"unknown sides .*, \(8, 8, 3\)"):
            find_model(case)


@pytest.mark.parametrize("trust", [False, True])
def test_saved_models_are_trusted_if_asked(trust, tmp_path):
    targets = benchmark.Targets(files=(str(tmp_path),), trust=trust)
    (case,) = benchmark.Ways().cases(targets).values()
    assert (case.runtime, case.trust) == ("tensorflow", trust)


def test_the_command_measures(run_command, tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    model.save(tmp_path / "net.keras")
    path = tmp_path / "times.csv"
    done = run_command(
        benchmark.run,
        f"--files={tmp_path / 'net.keras'}",
        "--quantize=none,int8",
        "--threads=1,2",
        "--runs=5",
        f"--csv={path}",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["quantize"], row["threads"]) for row in rows] == [
        ("", "1"),
        ("", "2"),
        ("int8", "1"),
        ("int8", "2"),
    ]
    # 6x6 positions of 4 filters of 3x3x3 weights, and 4 biases.
    assert {row["macs"] for row in rows} == {str(36 * 4 * 27 + 4)}
    assert done.stdout.count("net.keras") == 4
    assert "3,892" in done.stdout


def test_the_command_measures_memory_and_tells_what_it_leaves_out(
    run_command, tmp_path
):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    model.save(tmp_path / "net.keras")
    path = tmp_path / "times.csv"
    done = run_command(
        benchmark.run,
        f"--files={tmp_path / 'net.keras'}",
        "--runtime=litert,openvino",
        "--quantize=dynamic",
        "--runs=5",
        "--memory",
        f"--csv={path}",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "--quantize=dynamic is left out for --runtime=openvino" in done.stderr
    with open(path, newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["runtime"], row["quantize"]) == ("litert", "dynamic")
    assert float(row["load_ms"]) > 0


def test_the_command_profiles(tmp_path):
    """In a process of its own, for what runtimes print when they start."""
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv")])
    model.save(tmp_path / "net.keras")
    path = tmp_path / "operations.csv"
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from keras_roots.training.commands import benchmark; benchmark.run()",
            *("--profile", f"--files={tmp_path / 'net.keras'}", "--runs=5"),
            f"--csv={path}",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with open(path, newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["name"], row["layer"], row["kernel_shape"]) == (
        *("net.keras", "conv"),
        "4x3x3x3",
    )
    assert row["macs"] == str(36 * 4 * 27 + 4)
    assert "INFO" not in done.stdout + done.stderr
    assert done.stdout.startswith("net.keras: ")


def test_the_command_says_what_is_wrong(run_command, tmp_path):
    done = run_command(
        benchmark.run,
        "--models=root_nin:8",
        "--threads=1,none",
        f"--csv={tmp_path / 'x'}",
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        "error: --threads must be positive integers, separated by commas. "
        "Received: '1,none'"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["--runtime=keras,openvino", "--quantize=dynamic"],
            "--quantize must have a value that one of --runtime has. "
            "Received: --quantize=dynamic --runtime=keras,openvino",
        ),
        (
            ["--memory", "--profile"],
            "--memory is for the latency of --models and --files",
        ),
        (["--profile", "--measure=training"], "--profile takes no --measure"),
        (
            ["--measure=training", "--batch_sizes=1,2"],
            "--measure=training takes one number of --batch_sizes. Received: 1,2",
        ),
        (
            ["--measure=training", "--decompose=0.5"],
            "--decompose is for the latency of --models",
        ),
    ],
)
def test_the_command_refuses_what_cannot_be(run_command, arguments, text):
    done = run_command(benchmark.run, "--models=root_nin:8", *arguments)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"error: {text}"
