"""What the stages of a run have left in their folders."""

import dataclasses
from pathlib import Path

import keras

from keras_roots import utils
from keras_roots.training import trainer
from keras_roots.training.runs import MODEL, RESULT


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the stages of a run have left.

    Attributes:
        folder: Folder of the stages' folders.
        names: Names of the stages, in order.
    """

    folder: Path
    names: tuple[str, ...]

    @property
    def done(self) -> list[str]:
        """Names of the stages that are done."""
        return [name for name in self.names if self.result(name)]

    @property
    def missing(self) -> list[str]:
        """Names of the stages that are not done."""
        return [name for name in self.names if not self.result(name)]

    def result(self, stage: str) -> dict:
        """Returns what a stage's `result.json` holds; empty if it is not done."""
        path = self.folder / stage / RESULT
        return utils.read_json(path) if path.exists() else {}

    def log(self, stage: str) -> list[dict]:
        """Returns the rows of a stage's `log.csv`; none if it has not trained."""
        return trainer.read_log(self.folder / stage)

    def last(self) -> dict:
        """Returns the result of the last stage that is done, empty if none is."""
        return self.result(self.done[-1]) if self.done else {}

    def model(self, stage: str) -> keras.Model:
        """Loads the model of a stage that is done."""
        return utils.load_model(self.folder / stage / MODEL)
