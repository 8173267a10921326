"""One call from a trained network to an exported one that takes a part of its time."""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_roots import benchmarking, utils
from keras_roots.compression import WAYS, check_ways
from keras_roots.profiling import profile
from keras_roots.training import data, evaluation, runs
from keras_roots.training.stages import (
    compressing_arguments,
    compression_settings,
    meet_budget,
)
from keras_roots.training.stages.compression import Compression
from keras_roots.training.trainer import Recipe, get_recipe
from keras_roots.utils import format_table

FILE = "model.tflite"
TABLE = "budget.csv"
STAGES = ("baseline", "decompose", "finetune")
_AS_IT_IS = ("none", "int8")  # how the original is exported, to compare with


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A network that was made cheaper; prints as a table.

    Attributes:
        model: The network, in float32.
        quantize: How its file is quantised: `"none"` or `"int8"`.
        tflite: Its LiteRT file.
        rows: What was measured of the original's files and of this one: `name`,
            `quantize`, `top1` on the test images, `macs`, `params`, `bytes`, `ms`,
            `ratio` (to the time of the original in float32).
    """

    model: keras.Model
    quantize: str
    tflite: bytes = dataclasses.field(repr=False)
    rows: tuple[dict, ...]

    @property
    def ratio(self) -> float:
        """Measured time over that of the original's float32 file."""
        return self.rows[-1]["ratio"]

    @property
    def top1(self) -> float:
        """Accuracy of its file on the test images."""
        return self.rows[-1]["top1"]

    def __str__(self) -> str:
        header = ("", "quantised", "top-1", "MACs", "parameters", "bytes", "ms", "")
        return format_table(header, list(map(_cells, self.rows)), left=2)


def compress(
    model: keras.Model,
    dataset: data.Dataset | str | Sequence[np.ndarray],
    latency: float = 0.5,
    *,
    epochs: int = 5,
    quantize: str = "auto",
    ways: Sequence[str] = WAYS,
    layers: str = "all",
    sample_images: int = 1000,
    distillation: float = 1.0,
    recipe: Recipe | None = None,
    threads: int = 1,
    latency_table: str | None = None,
    output_dir: str | os.PathLike | None = None,
    data_dir: str | None = None,
    seed: int = 0,
    verbose: bool | None = None,
    say: Callable[[str], None] = print,
) -> Compressed:
    """Makes a trained network cheaper, until its file takes a part of the time.

    Convolutions get filter groups (Deep Roots, CVPR 2017) or lower ranks (Coordinating
    Filters, ICCV 2017), layer by layer, chosen for what they lose of the layers'
    responses over times that are measured on this machine; the file is float32 or int8,
    whichever agrees more with the original within the budget. BatchNorm's statistics
    are estimated anew, and the network learns from the original beside the labels.

    Args:
        model: A functional or Sequential classifier that takes square colour images of
            a fixed size, pixels 0 to 255, and ends in a softmax or in logits. It stays
            as it is.
        dataset: Name of a data set, as for `keras-roots-train --dataset`; or arrays:
            images and labels, and optionally those for testing: uint8
            `(n, height, width, 3)` and integers `(n,)`. Without those to test, a fifth
            of the images is kept from training.
        latency: Part of the time of the model's float32 LiteRT file that the result may
            take, between 0 and 1; measured on this machine.
        epochs: Epochs of fine-tuning, 0 for none.
        quantize: `"auto"`, `"none"` or `"int8"`.
        ways: What layers may get: `"groups"`, `"rank"`.
        layers: `"all"`, or a regular expression for names of layers that may change.
        sample_images: Training images that layers are fitted to, and files calibrated.
        distillation: Weight of the distance to the original's outputs.
        recipe: How to fine-tune; by default the data set's recipe at a fifth of its
            rate, with no larger batches than there are images. `epochs` counts.
        threads: Threads that the time is of.
        latency_table: CSV file of measured times of layers, which need not exist.
        output_dir: Folder for everything that is written; a call that was stopped goes
            on there. `None` to keep nothing but the result.
        data_dir: Where TensorFlow Datasets keeps its data sets.
        seed: Seed of everything random.
        verbose: Whether to show progress bars; by default, on a terminal.
        say: Called with a line of text after each step.

    Returns:
        A `Compressed`: `.model`, `.tflite`, `.top1`, `.ratio`; it prints as a table.

    Raises:
        ValueError: An argument is impossible, or the latency cannot be met: the message
            says what can.
        ImportError: LiteRT, TensorFlow or SciPy is not installed.
        FloatingPointError: Training diverged.

    Example:
        >>> small = keras_roots.compress(model, (images, labels), latency=0.5)
        >>> open("small.tflite", "wb").write(small.tflite)
    """
    classes = compressing_arguments.check_model(model)
    compressing_arguments.check_numbers(
        latency, epochs, sample_images, distillation, threads, seed, layers
    )
    epochs, sample_images, threads, seed = map(
        int, (epochs, sample_images, threads, seed)
    )
    compressing_arguments.check_paths(
        latency_table=latency_table, output_dir=output_dir, data_dir=data_dir
    )
    check_ways(ways)
    start = {"model": model.name, "sha256": _fingerprint(model)}
    named = isinstance(dataset, str)
    dataset = compressing_arguments.open_dataset(dataset, data_dir, classes)
    if not named:
        start["images_sha256"] = _fingerprint_of_images(dataset)
    if not isinstance(recipe, Recipe | None):
        raise ValueError(
            "`recipe` must be a keras_roots.training.recipes.Recipe or None. "
            f"Received: recipe={recipe!r}"
        )
    if recipe is None:
        recipe = get_recipe(model.name, dataset.name)
        recipe = dataclasses.replace(
            recipe,
            learning_rate=recipe.learning_rate / 5,
            batch_size=min(recipe.batch_size, dataset.train.count),
        )
    if epochs:
        compressing_arguments.check_trained(model)
        data.steps_per_epoch(dataset.train, recipe.batch_size)
    finetune = {"finetune": dataclasses.replace(recipe, epochs=epochs)}
    settings = compression_settings.Settings(
        dataset=dataset.name,
        recipes=finetune if epochs else {},
        decomposition=compression_settings.Decomposition(
            recalibration_images=sample_images
        ),
        budget=compression_settings.Budget(
            float(latency),
            quantizations(quantize),
            tuple(ways),
            layers,
            threads,
            None if latency_table is None else os.fspath(latency_table),
        ),
        finetuning=compression_settings.FineTuning(distillation=float(distillation)),
        seed=seed,
        start=start,
    )
    with tempfile.TemporaryDirectory() as temporary:
        work = Compression(
            settings,
            output_dir or temporary,
            lambda _: model,
            dataset=dataset,
            distribution="mirrored",
            verbose=verbose,
            say=say,
        )
        work.run(STAGES)
        return deliver(work)


def quantizations(quantize: str) -> tuple[str, ...]:
    """Returns what `quantize` lets choose among.

    Args:
        quantize: `"auto"`, `"none"` or `"int8"`.

    Raises:
        ValueError: It is none of them.
    """
    if quantize not in ("auto", *_AS_IT_IS):
        raise ValueError(
            f"`quantize` must be auto, none or int8. Received: quantize={quantize!r}"
        )
    return _AS_IT_IS if quantize == "auto" else (quantize,)


def deliver(work: Compression) -> Compressed:
    """Exports what a compression within a budget has left, and measures it.

    Writes `model.tflite` and `budget.csv` into its directory.

    Args:
        work: The compression, whose stages are done.

    Raises:
        ValueError: Stages are not done, or a file does not agree with its network.
        OSError: The directory cannot be written.
    """
    stages = work.done()
    if "decompose" not in stages:
        raise ValueError(
            f"{str(work.directory)!r} has no network that meets the budget yet: "
            "run the stages baseline and decompose"
        )
    original, small = work.model("baseline"), work.model(stages[-1])
    quantize = work.result("decompose")["quantize"]
    count = work.settings.decomposition.recalibration_images
    images = work.sample(original, count)
    threads = work.settings.budget.threads
    path = work.directory / FILE
    meet_budget.export(small, path, quantize, images)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        exported = []
        for how in _AS_IT_IS:
            exported.append((original, how, Path(folder, f"{how}.tflite")))
            meet_budget.export(original, exported[-1][2], how, images)
        exported.append((small, quantize, path))
        measured = benchmarking.compare(
            {
                str(index): benchmarking.Case(file, threads=threads)
                for index, (_, _, file) in enumerate(exported)
            },
            runs=200,
        )
        for (model, how, file), latency in zip(exported, measured, strict=True):
            predictor = evaluation.load_predictor(os.fspath(file), threads)
            counted = profile(model)
            rows.append(
                {
                    "name": "original" if model is original else "compressed",
                    "quantize": how,
                    "top1": evaluation.evaluate_on(predictor, work.dataset).top1,
                    "macs": counted.macs,
                    "params": counted.params,
                    "bytes": utils.file_size(file),
                    "ms": round(latency.median_ms, 4),
                    "ratio": round(latency.ratio, 4),
                }
            )
    source = runs.describe()
    utils.write_csv(work.directory / TABLE, [row | source for row in rows])
    return Compressed(small, quantize, path.read_bytes(), tuple(rows))


def _fingerprint(model) -> str:
    """What tells one network from another: architecture and weights."""
    return _digest(model.get_weights(), json.dumps(json.loads(model.to_json())))


def _fingerprint_of_images(dataset) -> str:
    """What tells data sets in memory apart: their images and labels."""
    held = [x for x in (dataset.train, dataset.test) if isinstance(x, data.Arrays)]
    return _digest([array for split in held for array in (split.images, split.labels)])


def _digest(arrays, text="") -> str:
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _cells(row) -> tuple[str, ...]:
    return (
        row["name"],
        row["quantize"],
        f"{row['top1']:.2%}",
        f"{row['macs']:,}",
        f"{row['params']:,}",
        f"{row['bytes']:,}",
        f"{row['ms']:.3f}",
        f"{row['ratio']:.3f}",
    )
