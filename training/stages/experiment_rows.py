"""Rows of experiments: named runs whose stages each take the model of the one before.

Every stage leaves its model, what it reaches and its log in a folder of its name; a
stage that is done is not run again, one that was stopped goes on.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import keras

from keras_roots import models
from keras_roots.training import data, networks, trainer
from keras_roots.training import runs as output
from keras_roots.utils import load_model


@dataclasses.dataclass(frozen=True)
class Bench:
    """Where rows are run.

    Attributes:
        dataset: The data set.
        epochs: Epochs of every stage that trains, in place of its own; 0 leaves those
            stages out.
        seed: Seed of everything random.
        distribution: As for `fit`.
        verbose: Whether to show progress bars; by default, on a terminal.
        say: Called with a line of text before and after stages.
        runs: Folder of the folders of tables, whose rows share what they have in
            common; `None` to share nothing.
    """

    dataset: data.Dataset
    epochs: int | None = None
    seed: int = 0
    distribution: str = "mirrored"
    verbose: bool | None = None
    say: Callable[[str], None] = print
    runs: Path | None = None

    def sample(self, model: keras.Model, count: int):
        """Returns training images of a model's size, chosen at random."""
        return self.dataset.train.sample(count, model.input_shape[1], self.seed)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A step of a row. Its fields are what its result depends on, as JSON knows them.

    Attributes:
        name: Name of the step, and of its folder.
    """

    name: str

    def run(
        self, model: keras.Model, folder: Path, bench: Bench
    ) -> tuple[keras.Model, dict]:
        """Makes a model.

        Args:
            model: That of the stage before, or what the row starts from.
            folder: Existing folder of the stage.
            bench: Where it is run.

        Returns:
            The model, and further entries of the stage's `result.json`.
        """
        raise NotImplementedError

    def lasting(self, epochs: int) -> "Stage | None":
        """Returns the stage with other epochs, `None` if they leave nothing to do."""
        del epochs
        return self


@dataclasses.dataclass(frozen=True)
class Row:
    """A run of an experiment.

    Attributes:
        name: Its name, and that of its folder.
        network: Registry name of the network that it starts from, with its groups.
        weights: Released weights that it starts from; `None` for random ones.
        stages: Its stages, in order.
        labels: First columns of its line in the table.
    """

    name: str
    network: str
    weights: str | None
    stages: tuple[Stage, ...]
    labels: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a row has left.

    Attributes:
        row: The row.
        folder: Its folder.
    """

    row: Row
    folder: Path

    @property
    def missing(self) -> list[str]:
        """Names of the stages that are not done."""
        return [s.name for s in self.row.stages if not self.result(s.name)]

    def result(self, stage: str) -> dict:
        """Returns what a stage's `result.json` holds; empty if it is not done."""
        path = self.folder / stage / trainer.RESULT
        return json.loads(path.read_text()) if path.exists() else {}

    def log(self, stage: str) -> list[dict]:
        """Returns the rows of a stage's `log.csv`; none if it has not trained."""
        return trainer.read_log(self.folder / stage)

    def last(self) -> dict:
        """Returns the result of the last stage that is done, empty if none is."""
        done = [self.result(stage.name) for stage in self.row.stages]
        return next(filter(None, reversed(done)), {})

    def model(self, stage: str) -> keras.Model:
        """Loads the model of a stage that is done."""
        return load_model(self.folder / stage / trainer.MODEL)


def error_of(result: Mapping) -> float | None:
    """Returns the error on the test images of a stage's result, `None` without one."""
    return rounded(1 - result["top1"]) if result else None


def rounded(value: float | None) -> float | None:
    """Returns a part, error or ratio as columns hold it; `None` stays."""
    return None if value is None else round(value, 4)


def run_row(row: Row, folder: Path, bench: Bench) -> None:
    """Runs the stages of a row that are not done.

    What another row in `bench.runs` has done alike, from the start on, is taken over.

    Args:
        row: The row.
        folder: Its folder, which need not exist.
        bench: Where to run it.

    Raises:
        ValueError: A folder holds something else, or a stage is impossible.
        OSError: The folder cannot be written.
        FloatingPointError: Training diverged.
    """
    outcome = Outcome(row, folder)
    config = {"network": row.network, "weights": row.weights}
    config |= {"dataset": bench.dataset.name, "seed": bench.seed}
    before = None
    for stage in row.stages:
        if bench.epochs is not None:
            stage = stage.lasting(bench.epochs)
        if stage is None:
            return
        kind = {"kind": type(stage).__name__}
        config = config | {stage.name: kind | dataclasses.asdict(stage)}
        own = folder / stage.name
        title = f"{row.name}, {stage.name}"
        output.claim_directory(own, config)
        if outcome.result(stage.name):
            bench.say(f"{title}: done already")
        elif other := _find_done(stage.name, config, bench):
            bench.say(f"{title}: done already, for {other.parent.name}")
            _take_over(other, own)
        else:
            bench.say(f"{title}: starts")
            model = outcome.model(before) if before else _start(row, bench)
            trainer.set_seed(bench.seed)
            model, extra = _run(stage, model, own, bench)
            result = trainer.finish(model, bench.dataset, own, **extra)
            bench.say(f"{title}: done, {result['top1']:.2%} top-1")
        before = stage.name


def _find_done(name, config, bench) -> Path | None:
    """Returns where another row has done the same stage, from the start on."""
    config = json.loads(json.dumps(config))
    every = bench.runs.glob(f"*/*/{name}/{trainer.RESULT}") if bench.runs else ()
    for result in sorted(every):
        if output.read_config(result.parent) == config:
            return result.parent
    return None


def _take_over(other, folder):
    """Copies what a stage has left; that it is done, last of all."""
    late = shutil.ignore_patterns(trainer.RESULT)
    shutil.copytree(other, folder, ignore=late, dirs_exist_ok=True)
    shutil.copy(other / trainer.RESULT, folder)


def _start(row, bench) -> keras.Model:
    trainer.set_seed(bench.seed)
    name, groups = models.parse_name(row.network)
    zoo = networks.Zoo(model=name, weights=row.weights, **groups)
    return zoo.start(bench.dataset)


def _run(stage, model, folder, bench):
    try:
        return stage.run(model, folder, bench)
    except ValueError:
        output.release_directory(folder)
        raise
