r"""Trains, exports and compares a dense and a root network on embedded images.

The whole way of the package in a few minutes on a CPU: a Network in Network without and
with filter groups learns the embedded handwritten digits, is exported to LiteRT files,
and a table shows accuracy, multiply-adds, parameters, file sizes and measured latency.

  keras-roots-quickstart --output_dir=quickstart
"""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
from absl import flags

import keras_roots
from keras_roots import benchmarking
from keras_roots.tables import format_table
from keras_roots.training import data, evaluation, train
from keras_roots.training import flags as shared
from keras_roots.training.recipes import get_recipe

QUANTIZATIONS = {"float32": None, "int8": "int8"}
CALIBRATION_IMAGES = 200


def quickstart(
    output_dir: str, roots: Sequence[int] = (1, 8), epochs: int = 4, runs: int = 100
) -> str:
    """Runs the whole way and returns its table.

    Args:
        output_dir: Folder for the trained networks and the LiteRT files.
        roots: Filter groups of the networks; the first is what others are held against.
        epochs: Epochs of each training.
        runs: Timed calls of each file.

    Raises:
        ValueError: The folder holds something else.
        OSError: The folder cannot be written.
        ImportError: Something that it needs is not installed.
    """
    digits = data.open_dataset("digits")
    samples = data.sample_images("digits", CALIBRATION_IMAGES)
    recipe = get_recipe("root_nin", "digits", epochs=epochs, precision="conv_bfloat16")
    files, models = {}, {}
    for root in roots:
        directory = Path(output_dir, f"root{root}")
        print(f"Training root_nin with root={root} on {digits.train.count} digits")
        config = train.Config("root_nin", root, "digits", recipe)
        train.train(config, directory)
        model = keras.models.load_model(directory / "model.keras", compile=False)
        for name, quantize in QUANTIZATIONS.items():
            path = Path(output_dir, f"root{root}-{name}.tflite")
            keras_roots.export_tflite(
                model, path, quantize, samples, optimize="latency"
            )
            files[root, name] = os.fspath(path)
        models[root] = model
    print("Measuring latency, one thread, one image, the files in turns")
    latencies = benchmarking.compare(files, runs=runs)
    return _table(files, models, digits, latencies)


def _table(files, models, digits, latencies) -> str:
    lines = [
        ("network", "file", "top-1", "MACs", "params", "bytes", "ms", "time ratio")
    ]
    first = {}
    for ((root, kind), path), latency in zip(files.items(), latencies, strict=True):
        score = evaluation.evaluate_on(evaluation.load_predictor(path), digits)
        profile = keras_roots.profile(models[root])
        first.setdefault(kind, latency.median_ms)
        lines.append(
            (
                "dense" if root == 1 else f"root-{root}",
                kind,
                f"{score.top1:.3f}",
                f"{profile.macs:,}",
                f"{profile.params:,}",
                f"{os.path.getsize(path):,}",
                f"{latency.median_ms:.2f}",
                f"{latency.median_ms / first[kind]:.2f}",
            )
        )
    note = (
        f"top-1 on {digits.test.count} test images; median ms of {latencies[0].runs} "
        f"calls; {latencies[0].processor}"
    )
    return "\n".join([format_table(lines[0], lines[1:], left=2), note])


def main(argv) -> None:
    """Runs the quickstart as the flags say."""
    del argv
    values = shared.FLAGS
    output_dir = values.output_dir or "quickstart"
    print(quickstart(output_dir, epochs=values.epochs))


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define("output_dir")
    flags.DEFINE_integer("epochs", 4, "Epochs of each training.", lower_bound=1)
    return ("output_dir", "epochs")


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())
