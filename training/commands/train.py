r"""Trains a model of the zoo.

Example, on the embedded digits (a minute on two cores):

  keras-roots-train --model=root_nin --root=8 --output_dir=runs/digits-root8

and on CIFAR-10, which TensorFlow Datasets downloads:

  keras-roots-train --model=root_nin --root=8 --dataset=cifar10 \
      --output_dir=runs/cifar10-root8

A run that was stopped goes on when the same command is given again. The output
directory holds config.json, log.csv, last.weights.h5 (state of the last epoch, with the
optimiser's), best.weights.h5 and, at the end, model.keras and result.json.
"""

import dataclasses
import inspect
import json

from keras_roots import models
from keras_roots.training import data, runs, trainer
from keras_roots.training.commands import flags as shared
from keras_roots.training.commands import recipe_flags
from keras_roots.training.data import get_augmentation
from keras_roots.training.trainer import Recipe


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes; what its directory remembers.

    Attributes:
        model: Registry name of the model.
        root: Its filter groups.
        topology: Its topology.
        dataset: Data set, as for `open_dataset`.
        recipe: How it is trained.
        weights: Weights to start from, if any.
        image_size: Height and width of the images in pixels, if not the default.
        holdout: Training images held out for evaluation.
        seed: Seed of everything random.
        deterministic: Whether operations must be bit-reproducible.
    """

    model: str
    root: int | tuple[int, ...]
    dataset: str
    recipe: Recipe
    topology: str = "root"
    weights: str | None = None
    image_size: int | None = None
    holdout: int = 0
    seed: int = 0
    deterministic: bool = False


def train(
    config: Config,
    output_dir: str,
    *,
    data_dir: str | None = None,
    distribution: str = "mirrored",
    verbose: bool | None = None,
) -> dict:
    """Trains a model, or goes on training it where a stopped run left it.

    Args:
        config: What to train, and how.
        output_dir: Directory for everything the run writes; it must be new, empty or
            of a run of the same configuration.
        data_dir: Where TensorFlow Datasets keeps its data sets.
        distribution: `"mirrored"` (all local devices, on TensorFlow) or
            `"one_device"`.
        verbose: Whether to show a progress bar; by default, on a terminal.

    Returns:
        What `result.json` holds: the accuracy on the test split, and what it took.

    Raises:
        ValueError: The configuration is impossible, or the directory another run's.
        OSError: The directory cannot be written.
        FloatingPointError: Training diverged; the last good checkpoint is kept.
    """
    trainer.check_layout()
    constructor = models.get_constructor(config.model)
    dataset = data.open_dataset(config.dataset, data_dir, config.holdout)
    data.steps_per_epoch(dataset.train, config.recipe.batch_size)
    get_augmentation(config.recipe.augmentation)
    trainer.set_seed(config.seed, config.deterministic)
    arguments = {
        "root": config.root,
        "topology": config.topology,
        **data.model_arguments(dataset, config.image_size),
    }
    plain = constructor(weights=config.weights, **arguments)
    network = None
    if "aux_heads" in inspect.signature(constructor).parameters:
        network = constructor(aux_heads=True, **arguments)
    runs.claim_directory(output_dir, dataclasses.asdict(config))
    trainer.fit(
        plain,
        dataset,
        config.recipe,
        output_dir,
        network=network,
        seed=config.seed,
        distribution=distribution,
        verbose=verbose,
    )
    return trainer.finish(
        plain,
        dataset,
        output_dir,
        config.recipe.batch_size,
        epochs=config.recipe.epochs,
        seconds=trainer.seconds(output_dir),
    )


_SHARED_FLAGS = (*shared.TRAINING, "deterministic")


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    return (*_SHARED_FLAGS, *recipe_flags.define())


def main(argv) -> None:
    """Trains as the flags say and prints the result."""
    del argv
    values = shared.FLAGS
    if not values.output_dir:
        raise ValueError("--output_dir is required: a folder for what the run writes")
    config = Config(
        model=values.model,
        root=values.root,
        topology=values.topology,
        dataset=values.dataset,
        recipe=recipe_flags.recipe(),
        weights=values.weights,
        image_size=values.image_size,
        holdout=values.holdout,
        seed=values.seed,
        deterministic=values.deterministic,
    )
    result = train(
        config,
        values.output_dir,
        data_dir=values.data_dir,
        distribution=values.distribution,
    )
    print(json.dumps(result, indent=2))


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())
