"""Where the stages of a run take place: data, folder, seed and devices."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from keras_roots.convolutions import Samples
from keras_roots.training import data, runs, trainer
from keras_roots.training.options import option, options


@dataclasses.dataclass(frozen=True)
class Context:
    """Where stages run.

    Attributes:
        dataset: The data set, or samples without labels.
        folder: Folder of the stages' folders.
        seed: Seed of everything random.
        deterministic: Whether the same run gives the same weights, bit for bit.
        distribution: As for `trainer.fit`.
        save_every: As for `trainer.fit`; the result does not depend on it.
        verbose: Whether to show progress bars; by default, on a terminal.
        say: Called with a line of text before and after stages.
        network: Function that returns the network to train in place of the model of the
            first stage, which has its layers by name and perhaps more, such as
            auxiliary heads; `None` to train the model itself.
        shared: Folder of tables of rows, whose stages are taken over where another row
            has done the same from the start on; `None` to share nothing.
    """

    dataset: data.Dataset | data.Unlabelled
    folder: str | os.PathLike
    seed: int = 0
    deterministic: bool = False
    distribution: str = "mirrored"
    save_every: int | None = None
    verbose: bool | None = None
    say: Callable[[str], None] = print
    network: Callable[[], keras.Model] | None = None
    shared: str | os.PathLike | None = None

    def sample(self, model: keras.Model, count: int) -> np.ndarray | Samples:
        """Returns training images of a model's size, or samples without labels."""
        return self.dataset.sample(model, count, self.seed)

    def fit(
        self, model: keras.Model, recipe: trainer.Recipe, folder: Path, **options
    ) -> keras.Model:
        """Trains a model by a recipe, or goes on where that was stopped.

        Args:
            model: The model, which gets the trained weights.
            recipe: The recipe.
            folder: Existing folder for log and checkpoints.
            **options: Further arguments of `trainer.fit`.

        Returns:
            The network as it was trained, as from `trainer.fit`.
        """
        return trainer.fit(
            model,
            self.dataset,
            recipe,
            folder,
            seed=self.seed,
            distribution=self.distribution,
            save_every=self.save_every,
            verbose=self.verbose,
            **options,
        )


@options
class Run:
    """Where a run writes, and what is random in it."""

    output_dir: str | None = option(None, "Folder for everything this run writes.")
    seed: int = option(0, "Seed of everything random.", least=0)
    deterministic: bool = option(
        False, "Whether the same run gives the same weights, bit for bit."
    )

    def context(self, dataset: data.Dataset, **others) -> Context:
        """Returns where the stages of the run take place.

        Args:
            dataset: The data set.
            **others: Further attributes of the context.

        Raises:
            ValueError: There is no folder, or it is a file.
        """
        if not self.output_dir:
            raise ValueError(
                "`output_dir` is required: a folder for what the run writes"
            )
        runs.check_directory(self.output_dir)
        own = {"seed": self.seed, "deterministic": self.deterministic}
        return Context(dataset, self.output_dir, **own, **others)


@options
class TrainingRun(Run):
    """A run that may train on several devices."""

    distribution: str = option(
        "mirrored",
        "tf.distribute strategy: mirrored over all local devices, or one_device.",
        choices=("mirrored", "one_device"),
    )
    save_every: int | None = option(
        None,
        "Epochs of training between two checkpoints, from which a stopped run goes on. "
        "By default as few as keep saving under 1 % of the time.",
        least=1,
    )

    def context(self, dataset: data.Dataset, **others) -> Context:
        """As for `Run.context`."""
        own = {"distribution": self.distribution, "save_every": self.save_every}
        return super().context(dataset, **own, **others)
