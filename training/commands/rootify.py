r"""Gives a trained network filter groups, and trains it on.

Examples, of a released network and of a file:

  keras-roots-rootify --model=root_nin --weights=cifar10 --dataset=cifar10 \
      --groups=8 --epochs=10 --output_dir=runs/nin-rootified
  keras-roots-rootify --from=runs/mine/model.keras --dataset=photographs \
      --budget=0.6 --cost=latency --mix --output_dir=runs/mine-rootified

Prints which layers get how many groups, the accuracy before, right after (BatchNorm's
statistics estimated anew), and after training. A run that was stopped goes on when the
same command is given again; --epochs=0 trains nothing. --model tells the recipe, whose
learning rate is taken to a fifth unless --learning_rate says otherwise.
"""

import dataclasses
import json
import re

import keras
from absl import flags

import keras_roots
from keras_roots.convolutions import recalibrate
from keras_roots.groups import CARRY_OVER, COSTS, plan_rootify
from keras_roots.models import TOPOLOGIES
from keras_roots.training import data, evaluation, runs, trainer
from keras_roots.training.commands import flags as shared
from keras_roots.training.commands import recipe_flags, start_flags
from keras_roots.training.trainer import Recipe

_SHARED_FLAGS = ("from", *shared.TRAINING)
_CARRY_OVER = {how or "none": how for how in CARRY_OVER}


@dataclasses.dataclass(frozen=True)
class Groups:
    """How a network gets its groups; the arguments of `rootify`.

    Attributes:
        groups: Groups of the first stage, or of every stage.
        group_topology: How they go on from stage to stage.
        layers: Regular expression for the names of layers; `None` for all.
        budget: Part of the cost to keep, instead of a topology.
        cost: What the budget is of.
        mix: Whether 1x1s are added.
        carry_over: Which weights stay.
        latency_table: File of measured times.
        recalibration_images: Training images to estimate BatchNorm's statistics, 0 for
            none; also the sample images of `carry_over="responses"` and of `budget`.
    """

    groups: int | tuple[int, ...] = 64
    group_topology: str = "root"
    layers: str | None = None
    budget: float | None = None
    cost: str = "macs"
    mix: bool = False
    carry_over: str | None = "energy"
    latency_table: str | None = None
    recalibration_images: int = 1000


def rootify(
    model: keras.Model,
    dataset: data.Dataset,
    settings: Groups,
    output_dir: str,
    recipe: Recipe | None = None,
    *,
    start: dict | None = None,
    seed: int = 0,
    distribution: str = "mirrored",
    verbose: bool | None = None,
) -> dict:
    """Gives a network filter groups and trains it, or goes on where a run stopped.

    Args:
        model: The network, which takes pixels 0 to 255.
        dataset: What to train and measure on.
        settings: How it gets its groups.
        output_dir: Directory for everything that the run writes.
        recipe: How to train; `None` not to.
        start: Where the network came from, for the directory to remember.
        seed: Seed of everything random.
        distribution: As for `fit`.
        verbose: Whether to show a progress bar; by default, on a terminal.

    Returns:
        What `result.json` holds: accuracy before, right after and at the end.

    Raises:
        ValueError: An argument is impossible, or the directory is another run's.
        OSError: The directory cannot be written.
        FloatingPointError: Training diverged.
    """
    config = {"start": start, "dataset": dataset.name, "seed": seed}
    config |= {"groups": dataclasses.asdict(settings)}
    config |= {"recipe": recipe and dataclasses.asdict(recipe)}
    before = evaluation.evaluate_on(evaluation.model_predictor(model), dataset)
    images = None
    if settings.recalibration_images:
        images = dataset.train.sample(
            settings.recalibration_images, model.input_shape[1], seed
        )
    plan = plan_rootify(
        model,
        settings.groups,
        settings.group_topology,
        settings.layers and (lambda layer: re.fullmatch(settings.layers, layer.name)),
        budget=settings.budget,
        cost=settings.cost,
        mix=settings.mix,
        images=images,
        latency_table=settings.latency_table,
        seed=seed,
    )
    print(plan)
    runs.claim_directory(output_dir, config)
    trainer.set_seed(seed)
    small = plan.apply(settings.carry_over, images, seed)
    if images is not None:
        small = recalibrate(small, images)
    after = evaluation.evaluate_on(evaluation.model_predictor(small), dataset)
    print(f"top-1 {before.top1:.2%}, with groups {after.top1:.2%}")
    extra = {"dense_top1": before.top1, "rootified_top1": after.top1}
    if recipe:
        trainer.fit(
            small,
            dataset,
            recipe,
            output_dir,
            seed=seed,
            distribution=distribution,
            verbose=verbose,
        )
        seconds = trainer.seconds(output_dir)
        extra |= {"epochs": recipe.epochs, "seconds": seconds}
    dense_macs = keras_roots.profile(model).macs
    return trainer.finish(small, dataset, output_dir, **extra, dense_macs=dense_macs)


def main(argv) -> None:
    """Gives the network groups as the flags say, and prints the result."""
    del argv
    values = shared.FLAGS
    if not values.output_dir:
        raise ValueError("--output_dir is required: a folder for what the run writes")
    start_flags.start().check_trained()
    dataset = data.open_dataset(values.dataset, values.data_dir, values.holdout)
    names = [field.name for field in dataclasses.fields(Groups)]
    settings = {name: values[name].value for name in names}
    settings["carry_over"] = _CARRY_OVER[values.carry_over]
    result = rootify(
        start_flags.start().start(dataset),
        dataset,
        Groups(**settings),
        values.output_dir,
        _recipe(),
        start=start_flags.start().describe() | {"holdout": values.holdout},
        seed=values.seed,
        distribution=values.distribution,
    )
    print(json.dumps(result, indent=2))


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    default = Groups()
    shared.define_root(
        "groups", default.groups, "Groups of the first stage, or of every stage."
    )
    own = (
        flags.DEFINE_enum(
            "group_topology",
            default.group_topology,
            list(TOPOLOGIES),
            "Whether groups halve, stay or double from stage to stage.",
        ),
        flags.DEFINE_string(
            "layers", None, "Regular expression for the names of layers to group."
        ),
        flags.DEFINE_float(
            "budget",
            None,
            "In place of a topology: part of the cost to keep; groups layer by layer.",
        ),
        flags.DEFINE_enum("cost", default.cost, list(COSTS), "Cost meant."),
        flags.DEFINE_bool("mix", default.mix, "Add 1x1s where groups would not mix."),
        flags.DEFINE_enum(
            "carry_over",
            default.carry_over,
            list(_CARRY_OVER),
            "Weights that stay, as for keras_roots.rootify.",
        ),
        flags.DEFINE_string(
            "latency_table", None, "CSV file for the times that --cost=latency takes."
        ),
        flags.DEFINE_integer(
            "recalibration_images",
            default.recalibration_images,
            "Training images to estimate BatchNorm's statistics anew, 0 for none.",
            lower_bound=0,
        ),
    )
    names = ("groups", *(flag.name for flag in own))
    return (*_SHARED_FLAGS, *recipe_flags.define(), *names)


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())


def _recipe() -> Recipe | None:
    values = shared.FLAGS
    if values.epochs == 0:
        return None
    recipe = recipe_flags.recipe()
    if values.learning_rate is None:
        rate = recipe.learning_rate / 5
        recipe = dataclasses.replace(recipe, learning_rate=rate)
    return recipe
