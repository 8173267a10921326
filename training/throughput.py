"""Training throughput: images per second of a training step, networks in turns."""

import dataclasses
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np

from keras_roots import benchmarking, surgery
from keras_roots.layers import GroupedConv2D
from keras_roots.tables import format_table
from keras_roots.training import fitting
from keras_roots.training.recipes import Recipe


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Training throughput of one network.

    Attributes:
        name: Name of the network.
        layer: What computes its filter groups: `"GroupedConv2D"` or `"keras Conv2D"`.
        precision: As in `Recipe`.
        batch_size: Images per step.
        images_per_second: Median over the turns.
        low: Slowest turn.
        high: Fastest turn.
        ratio: Images per second over those of the first row, median of the turns'.
        turns: Number of turns.
        processor: Name of the CPU.
        versions: Versions of the packages at work.
    """

    name: str
    layer: str
    precision: str
    batch_size: int
    images_per_second: float
    low: float
    high: float
    ratio: float
    turns: int
    processor: str
    versions: str


def with_stock_layers(model: keras.Model) -> keras.Model:
    """Returns a copy of a model with `keras.layers.Conv2D` for `GroupedConv2D`."""

    def replace(layer):
        if not isinstance(layer, GroupedConv2D):
            return None
        config = layer.get_config()
        del config["lowering"]
        return keras.layers.Conv2D.from_config(config)

    return surgery.rewrite(model, replace)


def compare(
    models: Mapping[str, keras.Model],
    recipe: Recipe,
    *,
    stock: bool = False,
    turns: int = 5,
    seconds: float = 2.0,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Throughput]:
    """Measures training steps on one batch of random images, the networks in turns.

    Args:
        models: Networks by name, without an activation on their one output.
        recipe: How they are trained: batch size, precision, optimiser.
        stock: Whether to measure the networks with filter groups also as stock Keras
            computes them.
        turns: Turns of each network.
        seconds: Least duration of a turn; at least one step is made.
        progress: Called with a line of text after each step.

    Returns:
        A row for each network and layer, in order.
    """
    rows, trainees = [], []
    for name, model in models.items():
        grouped = any(isinstance(layer, GroupedConv2D) for layer in model.layers)
        rows.append((name, "GroupedConv2D" if grouped else "keras Conv2D"))
        trainees.append(fitting.prepare(model, recipe))
        if grouped and stock:
            rows.append((name, "keras Conv2D"))
            trainees.append(fitting.prepare(with_stock_layers(model), recipe))
    batches = [_batch(trainee, recipe.batch_size) for trainee in trainees]
    for trainee, batch in zip(trainees, batches, strict=True):
        fitting.compile_model(trainee, recipe, 10_000)
        trainee.train_on_batch(*batch)
        progress(f"loaded {trainee.name}")
    rates = np.empty((turns, len(trainees)))
    for turn in range(turns):
        for i, (trainee, batch) in enumerate(zip(trainees, batches, strict=True)):
            rates[turn, i] = _rate(trainee, batch, seconds)
        progress(f"measured turn {turn + 1} of {turns}")
    return [
        Throughput(
            name=name,
            layer=layer,
            precision=recipe.precision,
            batch_size=recipe.batch_size,
            images_per_second=float(np.median(rates[:, i])),
            low=float(rates[:, i].min()),
            high=float(rates[:, i].max()),
            ratio=float(np.median(rates[:, i] / rates[:, 0])),
            turns=turns,
            processor=benchmarking.processor(),
            versions=benchmarking.versions(),
        )
        for i, (name, layer) in enumerate(rows)
    ]


def table(rows: list[Throughput]) -> str:
    """Returns the measurements as a table for the terminal."""
    lines = [("", "filter groups by", "precision", "batch", "images/s", "", "ratio")]
    lines += [
        (
            row.name,
            row.layer,
            row.precision,
            str(row.batch_size),
            f"{row.images_per_second:.1f}",
            f"({row.low:.1f}-{row.high:.1f})",
            f"{row.ratio:.2f}",
        )
        for row in rows
    ]
    note = f"{rows[0].processor}; {rows[0].versions}"
    return "\n".join([format_table(lines[0], lines[1:], left=2), note])


def _batch(model, batch_size):
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (batch_size, *model.input_shape[1:]))
    classes = model.output_shape[-1]
    targets = np.eye(classes, dtype="float32")[random.integers(0, classes, batch_size)]
    return images.astype("float32"), targets


def _rate(model, batch, seconds) -> float:
    start = time.perf_counter()
    steps = 0
    while steps == 0 or time.perf_counter() - start < seconds:
        model.train_on_batch(*batch)
        steps += 1
    return steps * len(batch[0]) / (time.perf_counter() - start)
