"""Training throughput: images per second of training steps, networks in turns."""

import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from keras_roots import benchmarking
from keras_roots.layers import GroupedConv2D
from keras_roots.training import data, trainer
from keras_roots.training.reports.trainees import Trainee, with_stock_layers
from keras_roots.utils import format_table

# Batches that a pipeline may hold ready: what it prefetches and works on.
_MADE_AHEAD = 2 + os.cpu_count()


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Training throughput of one network.

    Attributes:
        name: Name of the network.
        layer: What computes its filter groups: `"GroupedConv2D"` or `"keras Conv2D"`.
        precision: As in `Recipe`.
        batch_size: Images per step.
        images_per_second: Of training on one batch that is there already; the median
            over the turns, as all that follows.
        low: Slowest turn.
        high: Fastest turn.
        ratio: Images per second over those of the first row.
        dataset: Name of the data set, `None` if there was none.
        data_images_per_second: Of training on the data set's augmented batches.
        data_ratio: That over `images_per_second`.
        input_images_per_second: Of making these batches, with no network.
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
    dataset: str | None
    data_images_per_second: float | None
    data_ratio: float | None
    input_images_per_second: float | None
    turns: int
    processor: str
    versions: str


def measure_throughput(
    trainees: Sequence[Trainee],
    *,
    stock: bool = False,
    turns: int = 5,
    seconds: float = 2.0,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Throughput]:
    """Measures training steps, the networks in turns.

    Each turn of a network trains on one batch of random images, and if it has a data
    set, then on batches of the input pipeline, and then runs the pipeline alone.

    Args:
        trainees: The networks.
        stock: Whether to measure the networks with filter groups also as stock Keras
            computes them.
        turns: Turns of each network.
        seconds: Least duration of each part of a turn; at least one step is made.
        progress: Called with a line of text after each step.

    Returns:
        A row for each network and layer, in order.
    """
    trainings = []
    for trainee in trainees:
        trainings.append(_Training(trainee, stock=False))
        if stock and trainings[-1].layer == "GroupedConv2D":
            trainings.append(_Training(trainee, stock=True))
        progress(f"loaded {trainee.name} in {trainee.recipe.precision}")
    rates = np.empty((turns, len(trainings), 3))
    for turn in range(turns):
        for i, training in enumerate(trainings):
            rates[turn, i] = training.rates(seconds)
        progress(f"measured turn {turn + 1} of {turns}")
    return [
        training.throughput(rates[:, i], rates[:, 0])
        for i, training in enumerate(trainings)
    ]


class _Training:
    """A network ready to be trained, and what it is trained on."""

    def __init__(self, trainee, stock):
        self.trainee, self.batch_size = trainee, trainee.recipe.batch_size
        model = with_stock_layers(trainee.model) if stock else trainee.model
        grouped = any(isinstance(layer, GroupedConv2D) for layer in model.layers)
        self.layer = "GroupedConv2D" if grouped else "keras Conv2D"
        self._model = trainer.prepare(model, trainee.recipe)
        trainer.compile_model(self._model, trainee.recipe, 10_000)
        self._batches = itertools.repeat(_batch(self._model, self.batch_size))
        self._data = trainee.dataset and _data(trainee, model.input_shape[1])
        self._train(self._batches)

    def rates(self, seconds) -> tuple[float, float, float]:
        """Returns images per second: on a batch, on data, of the pipeline alone."""
        on_batch = self._rate(lambda: self._train(self._batches), seconds)
        if self._data is None:
            return on_batch, np.nan, np.nan
        on_data = self._rate(lambda: self._train(self._data), seconds)
        # What was made ahead, while the network trained, does not count.
        for _ in range(_MADE_AHEAD):
            next(self._data)
        return on_batch, on_data, self._rate(lambda: next(self._data), seconds)

    def throughput(self, rates, first) -> Throughput:
        """Returns the row for the results.

        Args:
            rates: What `rates` returned, turn by turn.
            first: The same of the comparison's first network.
        """
        on_batch, on_data, alone = rates.T
        known = self._data is not None
        return Throughput(
            name=self.trainee.name,
            layer=self.layer,
            precision=self.trainee.recipe.precision,
            batch_size=self.batch_size,
            images_per_second=float(np.median(on_batch)),
            low=float(on_batch.min()),
            high=float(on_batch.max()),
            ratio=float(np.median(on_batch / first[:, 0])),
            dataset=self.trainee.dataset.name if known else None,
            data_images_per_second=float(np.median(on_data)) if known else None,
            data_ratio=float(np.median(on_data / on_batch)) if known else None,
            input_images_per_second=float(np.median(alone)) if known else None,
            turns=len(rates),
            processor=benchmarking.processor(),
            versions=benchmarking.versions(),
        )

    def _train(self, batches):
        self._model.train_on_batch(*next(batches))

    def _rate(self, step, seconds) -> float:
        start = time.perf_counter()
        steps = 0
        while steps == 0 or time.perf_counter() - start < seconds:
            step()
            steps += 1
        return steps * self.batch_size / (time.perf_counter() - start)


def format_throughputs(rows: list[Throughput]) -> str:
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
    if any(row.dataset for row in rows):
        lines[0] += ("on data", "ratio", "data alone")
        for i, row in enumerate(rows, 1):
            lines[i] += _data_columns(row)
    table = format_table(lines[0], lines[1:], left=2)
    return f"{table}\n{rows[0].processor}; {rows[0].versions}"


def _data_columns(row):
    if row.dataset is None:
        return ("",) * 3
    return (
        f"{row.data_images_per_second:.1f}",
        f"{row.data_ratio:.3f}",
        f"{row.input_images_per_second:.0f}",
    )


def _data(trainee, image_size) -> Iterator[tuple]:
    """Yields the augmented batches that the network is trained on, without end."""
    with trainee.dataset.reading():
        yield from data.train_batches(
            trainee.dataset.train,
            augmentation=data.get_augmentation(trainee.recipe.augmentation),
            batch_size=trainee.recipe.batch_size,
            image_size=image_size,
            classes=len(trainee.dataset.class_names),
            fill=np.zeros(3, "float32"),
            seed=0,
            epochs=range(1_000_000),
        )


def _batch(model, batch_size):
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (batch_size, *model.input_shape[1:]))
    classes = model.output_shape[-1]
    targets = np.eye(classes)[random.integers(0, classes, batch_size)]
    return tuple(
        keras.ops.convert_to_tensor(array, "float32") for array in (images, targets)
    )
