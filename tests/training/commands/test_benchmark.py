import csv
import subprocess
import sys

import keras
import pytest
from keras import layers

import keras_roots
from keras_roots.benchmarking.comparison import Case
from keras_roots.export import costs
from keras_roots.training import networks
from keras_roots.training.commands import benchmark, layer_benchmark


def test_models_are_named_as_the_registry_names_them():
    model = networks.parse_model("root_nin:8:column")
    assert model.name == "root_nin_column_8"
    with pytest.raises(ValueError, match="`name` must be a model's, alone or as"):
        networks.parse_model("root_nin:")


def test_keras_applications_and_decompositions():
    shape = (32, 32, 3)
    model = networks.parse_model(
        "keras.applications.MobileNet", input_shape=shape, classes=5
    )
    assert model.output_shape == (None, 5)
    with pytest.raises(ValueError, match="needs one of .*VGG16.*Received: 'VGG17'"):
        networks.parse_model("keras.applications.VGG17")
    assert benchmark.with_decomposed([model], None) == [model]
    first, small = benchmark.with_decomposed([model], 0.7)
    assert first is model
    assert small.name == f"{model.name}_decomposed_0.7"
    ratio = keras_roots.profile(small).macs / keras_roots.profile(model).macs
    assert 0.6 < ratio <= 0.7


def test_every_combination_is_a_case(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)], name="net")
    cases = benchmark.make_cases(
        [model],
        [str(tmp_path / "a.tflite"), str(tmp_path), "b.keras"],
        runtimes=["litert", "tensorflow"],
        quantize=[None, "int8"],
        threads=[1, 2],
        batch_sizes=[4],
        optimize=[None, "latency"],
    )
    found = {
        (c.label, c.runtime, c.quantize, c.optimize, c.threads) for c in cases.values()
    }
    ways = [
        ("litert", None, None),
        ("litert", None, "latency"),
        ("litert", "int8", None),
        ("litert", "int8", "latency"),
        ("tensorflow", None, None),
    ]
    assert found == {
        (label, *way, threads)
        for threads in (1, 2)
        for label, own in {
            "net": ways,
            "b.keras": ways,
            "a.tflite": [("litert", None, None)],
            tmp_path.name: [("tensorflow", None, None)],
        }.items()
        for way in own
    }
    assert len(cases) == len(found)
    assert {case.batch_size for case in cases.values()} == {4}
    assert cases["0"] == Case(model, batch_size=4, label="net")


def test_runtimes_leave_out_what_they_cannot_quantise():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)], name="net")
    cases = benchmark.make_cases(
        [model],
        [],
        runtimes=["litert", "onnxruntime", "openvino", "keras"],
        quantize=["int8", "dynamic", None],
        optimize=["latency"],
    )
    assert [(c.runtime, c.quantize, c.optimize) for c in cases.values()] == [
        ("litert", "int8", "latency"),
        ("litert", "dynamic", "latency"),
        ("litert", None, "latency"),
        ("onnxruntime", "int8", None),
        ("onnxruntime", None, None),
        ("openvino", "int8", None),
        ("openvino", None, None),
        ("keras", None, None),
    ]


def _run(*arguments):
    return subprocess.run(
        [
            *(sys.executable, "-c"),
            "from keras_roots.training.commands import benchmark; benchmark.run()",
            *arguments,
        ],
        capture_output=True,
        text=True,
    )


def test_the_command_measures(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    model.save(tmp_path / "net.keras")
    path = tmp_path / "times.csv"
    done = _run(
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


def test_the_command_measures_memory_and_tells_what_it_leaves_out(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    model.save(tmp_path / "net.keras")
    path = tmp_path / "times.csv"
    done = _run(
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
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv")])
    model.save(tmp_path / "net.keras")
    path = tmp_path / "operations.csv"
    done = _run(
        "--profile", f"--files={tmp_path / 'net.keras'}", "--runs=5", f"--csv={path}"
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


def test_profiles_take_no_other_measure(monkeypatch):
    class Flags(dict):
        __getattr__ = dict.get  # None for the others

    values = Flags(profile=True, measure="layers", threads=["1"], batch_sizes=["1"])
    monkeypatch.setattr(benchmark.shared, "FLAGS", values)
    with pytest.raises(ValueError, match="--profile takes no --measure"):
        benchmark.main([])


def test_the_command_says_what_is_wrong(tmp_path):
    done = _run("--models=root_nin:8", "--threads=1,none", f"--csv={tmp_path / 'x'}")
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
            "--quantize must have a value that one of --runtime knows. "
            "Received: --quantize=dynamic --runtime=keras,openvino",
        ),
        (
            ["--memory", "--profile"],
            "--memory is for the latency of --models and --files",
        ),
    ],
)
def test_the_command_refuses_what_cannot_be(arguments, text):
    done = _run("--models=root_nin:8", *arguments)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"error: {text}"


# Single layers.


@pytest.fixture
def any_threads(monkeypatch):
    """TensorFlow runs in this process already, with threads of its own choice."""
    monkeypatch.setattr(layer_benchmark, "use_threads", lambda threads: None)


def test_layers_are_timed_by_lowering(any_threads):
    rows = layer_benchmark.time_layers(runs=4, batch_size=2, layers=[(6, 8, 2)])
    assert [row.variant for row in rows] == list(layer_benchmark.VARIANTS)
    assert {row.layer for row in rows} == {"6x6x8 g2"}
    for row in rows:
        if row.variant != "native":  # which this machine may lack
            assert row.forward_ms > 0 and row.training_ms > 0
            assert row.runs == 4
    text = layer_benchmark.layer_table(rows)
    assert len(text.splitlines()) == 2 + 4 + 1
    assert "batch 2, threads 1" in text


def test_what_does_not_run_is_not_timed(any_threads, monkeypatch):
    import tensorflow as tf

    class Broken(layers.Conv2D):
        def call(self, inputs):
            raise tf.errors.UnimplementedError(None, None, "no such kernel")

    monkeypatch.setattr(
        layer_benchmark,
        "VARIANTS",
        {"broken": lambda filters, groups: Broken(filters, 3)},
    )
    (row,) = layer_benchmark.time_layers(runs=4, layers=[(6, 8, 2)])
    assert row.runs == 0
    assert row.forward_ms != row.forward_ms  # NaN


def test_threads_cannot_change_once_tensorflow_runs():
    import tensorflow as tf

    tf.constant(1.0) + 1.0
    used = tf.config.threading.get_intra_op_parallelism_threads()
    layer_benchmark.use_threads(used)
    with pytest.raises(ValueError, match="start a new process.*threads=77"):
        layer_benchmark.use_threads(77)


def test_a_measured_cost_table_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(layer_benchmark, "_TURN", 0.0)
    shapes = [costs.Shape(3, 4, 4, 8)]
    text = layer_benchmark.measure_costs(shapes, ["float32", "int8"])
    path = tmp_path / "costs.csv"
    path.write_text(text)
    table = costs.load(path)
    assert set(table) == {"float32", "int8"}
    for found in table.values():
        assert list(found) == shapes
        assert set(found[shapes[0]]) == {1, 2, 4}
    assert text.startswith("# Milliseconds")
