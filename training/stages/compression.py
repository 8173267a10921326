"""The way from a trained network to a cheaper one, in stages.

Every stage reads the model that the one before it left, and leaves its own in a folder
of its name; a stage that is done is not run again, one that was stopped goes on.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_roots.training import data, runs, trainer
from keras_roots.training.stages.compression_settings import Settings, check
from keras_roots.training.stages.compression_stages import STAGES
from keras_roots.utils import load_model


class Compression:
    """Runs stages in an output directory.

    Args:
        settings: What to compute.
        output_dir: Directory with a folder per stage.
        make_start: Function that returns the model to start from; called where the
            baseline is not done yet.
        dataset: The data set, if it is at hand; else it is opened by its name.
        data_dir: Where TensorFlow Datasets keeps its data sets.
        distribution: As for `fit`.
        verbose: Whether to show progress bars; by default, on a terminal.
        say: Called with a line of text at the start and end of stages.
    """

    def __init__(
        self,
        settings: Settings,
        output_dir: str,
        make_start: Callable[[data.Dataset], keras.Model],
        *,
        dataset: data.Dataset | None = None,
        data_dir: str | None = None,
        distribution: str = "mirrored",
        verbose: bool | None = None,
        say: Callable[[str], None] = print,
    ):
        trainer.check_layout()
        check(settings)
        self.settings = settings
        self.directory = Path(output_dir)
        self.make_start = make_start
        self.dataset = dataset or data.open_dataset(
            settings.dataset, data_dir, settings.holdout
        )
        self.distribution = distribution
        self.verbose = verbose
        self.say = say

    def run(self, stages: Sequence[str] = tuple(STAGES)) -> None:
        """Runs stages in their order, but those that are done.

        Args:
            stages: Names of stages, keys of `STAGES`.

        Raises:
            ValueError: A stage is unknown, the one before it is not done, or its folder
                holds something else.
            FloatingPointError: Training diverged.
        """
        unknown = set(stages) - set(STAGES)
        if unknown:
            raise ValueError(
                f"`stages` must be of {list(STAGES)}. Received: {sorted(unknown)}"
            )
        for stage in STAGES:
            if stage in stages and self.is_wanted(stage):
                self._run(stage)

    def is_wanted(self, stage: str) -> bool:
        """Tells whether the settings have use for a stage."""
        return stage in ("baseline", "decompose") or stage in self.settings.recipes

    def is_done(self, stage: str) -> bool:
        """Tells whether a stage has left its model and result."""
        return (self.directory / stage / trainer.RESULT).exists()

    def done(self) -> list[str]:
        """Returns the stages that have left a model, in order.

        Raises:
            ValueError: One of them did so with other settings.
        """
        stages = [s for s in STAGES if self.is_wanted(s) and self.is_done(s)]
        for stage in stages:
            runs.claim_directory(self.directory / stage, self._config(stage))
        return stages

    def model(self, stage: str) -> keras.Model:
        """Loads the model that a stage has left."""
        return load_model(self.directory / stage / trainer.MODEL)

    def result(self, stage: str) -> dict:
        """Returns what a stage's `result.json` holds."""
        return json.loads((self.directory / stage / trainer.RESULT).read_text())

    def before(self, stage: str) -> str:
        """Returns the name of the stage whose model a stage reads."""
        names = [name for name in STAGES if self.is_wanted(name)]
        return names[names.index(stage) - 1]

    def sample(self, model: keras.Model, count: int) -> np.ndarray:
        """Returns training images of a model's size, chosen at random."""
        size = model.input_shape[1]
        return self.dataset.train.sample(count, size, self.settings.seed)

    def fit(
        self, stage: str, model: keras.Model, folder: Path, **options
    ) -> keras.Model:
        """Trains a model by the recipe of a stage, or goes on where that was stopped.

        Args:
            stage: Name of the stage.
            model: The model, which gets the trained weights.
            folder: Existing folder for log and checkpoints.
            **options: Further arguments of `fitting.fit`.

        Returns:
            The network as it was trained, as from `fitting.fit`.

        Raises:
            ValueError: The data set does not fit the recipe or the model.
            FloatingPointError: Training diverged.
        """
        return trainer.fit(
            model,
            self.dataset,
            self.settings.recipes[stage],
            folder,
            seed=self.settings.seed,
            distribution=self.distribution,
            verbose=self.verbose,
            **options,
        )

    def _run(self, stage):
        folder = self.directory / stage
        if self.is_done(stage):
            runs.claim_directory(folder, self._config(stage))
            self.say(f"{stage}: done already, {self.result(stage)['top1']:.2%} top-1")
            return
        trainer.set_seed(self.settings.seed)
        if stage == "baseline":
            model = self.make_start(self.dataset)
        elif self.is_done(self.before(stage)):
            model = self.model(self.before(stage))
        else:
            raise ValueError(
                f"Stage {stage!r} needs the model of stage {self.before(stage)!r}, "
                f"which is not in {str(self.directory)!r}: run that one first"
            )
        runs.claim_directory(folder, self._config(stage))
        self.say(f"{stage}: starts")
        try:
            model, extra = STAGES[stage].run(self, model, folder)
        except ValueError:
            runs.release_directory(folder)
            raise
        result = trainer.finish(model, self.dataset, folder, **extra)
        self.say(f"{stage}: done, {result['top1']:.2%} top-1")

    def _config(self, stage) -> dict:
        """What a stage depends on: its own settings and those of the ones before."""
        config = {}
        for name in filter(self.is_wanted, STAGES):
            fields = STAGES[name].fields
            own = {field: getattr(self.settings, field) for field in fields}
            own["recipe"] = self.settings.recipes.get(name)
            config[name] = {
                field: dataclasses.asdict(value)
                if dataclasses.is_dataclass(value)
                else value
                for field, value in own.items()
            }
            if name == stage:
                return config
        raise ValueError(f"no stage {stage!r}")
