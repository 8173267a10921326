"""Rows of experiments: a network to start from, and the stages that change it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import keras

from keras_roots import utils
from keras_roots.models import NetworkName
from keras_roots.training import networks, stages, trainer
from keras_roots.training.stages import Context, Outcome, Stage
from keras_roots.training.trainer import Recipe, get_recipe

_REFUSED = "refused.txt"


@dataclasses.dataclass(frozen=True)
class Row:
    """A run of an experiment.

    Attributes:
        name: Its name, and that of its folder.
        network: Registry name of the network that it starts from, with its groups; or
            the path of a `.keras` file.
        weights: Released weights that it starts from; `None` for random ones.
        stages: Its stages, in order.
        labels: First columns of its line in the table.
    """

    name: str
    network: str
    weights: str | None
    stages: tuple[Stage, ...]
    labels: dict = dataclasses.field(default_factory=dict)

    def outcome(self, folder: Path) -> Outcome:
        """Returns what its stages have left in the folder of its table."""
        return Outcome(folder / self.name, tuple(stage.name for stage in self.stages))


def run_row(row: Row, context: Context, epochs: int | None = None) -> None:
    """Runs the stages of a row that are not done, until a budget cannot be met.

    What can be is then kept in the row's folder, and the row is not tried again until
    that is removed.

    Args:
        row: The row.
        context: Where to run it; the folder is that of its table.
        epochs: Epochs of every stage that trains, in place of its own; 0 leaves those
            stages, and the ones behind them, out.

    Raises:
        ValueError: A folder holds something else, or a stage is impossible.
        OSError: The folder cannot be written.
        FloatingPointError: Training diverged.
    """
    chosen = []
    for stage in row.stages:
        stage = stage if epochs is None else stage.with_epochs(epochs)
        if stage is None:
            break
        chosen.append(stage)
    folder = Path(context.folder, row.name)
    if not chosen or refusal(folder):
        return

    def start() -> keras.Model:
        if row.network.endswith(".keras"):
            return utils.load_model(row.network)
        name = NetworkName.parse(row.network)
        trainer.set_seed(context.seed)
        network = networks.Zoo(model=name.model, weights=row.weights, **name.arguments)
        return network.start(context.dataset)

    own = dataclasses.replace(
        context,
        folder=folder,
        say=lambda line: context.say(f"{row.name}, {line}"),
    )
    config = {"network": row.network, "weights": row.weights}
    try:
        stages.run(chosen, own, start, config)
    except ValueError as error:
        if not str(error).startswith("`budget` "):
            raise
        own.say(str(error))
        utils.write_text(folder / _REFUSED, f"{error}\n")


def refusal(folder: Path) -> str | None:
    """Returns why a row's budget cannot be met, `None` if nothing says so.

    Args:
        folder: Folder of the row.
    """
    path = folder / _REFUSED
    return path.read_text("utf-8").strip() if path.exists() else None


def error_of(result: Mapping) -> float | None:
    """Returns the error on the test images of a stage's result, `None` without one."""
    return rounded(1 - result["top1"]) if result else None


def rounded(value: float | None) -> float | None:
    """Returns a part, error or ratio as columns hold it; `None` stays."""
    return None if value is None else round(value, 4)


def falling(model: str, epochs: int, dataset: str = "cifar10") -> Recipe:
    """Returns the recipe of a network for training on from trained weights.

    Args:
        model: Registry name; another one has the data set's recipe.
        epochs: Passes over the training images, over which the learning rate falls to
            zero, from a fifth of the recipe's.
        dataset: Name of the data set.
    """
    return _short(model, dataset, epochs, 5, 0.0)


def rising(model: str, epochs: int) -> Recipe:
    """Returns the recipe of a network on CIFAR-10, at its full rate and with a warm-up.

    Args:
        model: Registry name.
        epochs: Passes over the training images.
    """
    return _short(model, "cifar10", epochs, 1, 0.25)


def _short(model, dataset, epochs, divisor, warmup) -> Recipe:
    rate = get_recipe(model, dataset).learning_rate / divisor
    return get_recipe(
        model,
        dataset,
        epochs=epochs,
        learning_rate=rate,
        schedule="one_cycle",
        warmup=warmup,
        precision="mixed_bfloat16",
    )
