"""Stages that train the network, plainly or with forces between its filters."""

import dataclasses
import functools
import inspect
import itertools

import keras
import numpy as np

from keras_roots.lowrank import rank_analysis
from keras_roots.models import get_constructor
from keras_roots.regularizers import (
    NORMS,
    SCALES,
    ForceRegularizer,
    relative_force,
    with_regularizer,
)
from keras_roots.training import data, networks, trainer
from keras_roots.training.options import option, options
from keras_roots.training.stages.context import Context
from keras_roots.training.stages.layer_names import HELP, layers_of
from keras_roots.training.stages.stage import Stage, run
from keras_roots.training.trainer import Recipe

_GRADIENT_BATCHES = 10  # for the strength relative to the gradient


@dataclasses.dataclass(frozen=True)
class Train(Stage):
    """Trains the network.

    Attributes:
        recipe: How.
    """

    name: str = "trained"
    recipe: Recipe | None = None

    def run(self, model, folder, context):
        """As for every stage; writes `log.csv` and checkpoints."""
        network = context.network() if context.network is not None else None
        context.fit(
            model,
            self.recipe,
            folder,
            network=network,
            adapt=lambda trainee: self.adapt(trainee, context),
            figures=self.figures,
        )
        epochs = len(trainer.read_log(folder))
        return model, {"epochs": epochs, "seconds": trainer.seconds(folder)}

    def adapt(self, trainee: keras.Model, context) -> keras.Model:
        """Returns what is trained in place of the network, as for `trainer.fit`.

        Args:
            trainee: The network as the recipe has it, ready to be compiled.
            context: Where the stage runs.
        """
        return trainee

    def figures(self, trainee: keras.Model) -> dict:
        """Returns further columns of the log, as for `trainer.fit`.

        Args:
            trainee: The network that is trained.
        """
        return {}

    def with_epochs(self, epochs):
        """As for every stage."""
        if epochs == 0:
            return None
        recipe = dataclasses.replace(self.recipe, epochs=epochs)
        return dataclasses.replace(self, recipe=recipe)


def train(network: networks.Zoo, recipe: Recipe, context: Context) -> dict:
    """Trains a model of the zoo in the context's own folder.

    Args:
        network: The model; auxiliary heads are added for the training.
        recipe: How to train.
        context: Where to train, and on what.

    Returns:
        What `result.json` holds: accuracy on the test split, and what it took.

    Raises:
        ValueError: The configuration is impossible, or the folder another run's.
        OSError: The folder cannot be written.
        FloatingPointError: Training diverged; the last good checkpoint is kept.
    """
    dataset = context.dataset
    trainer.warn_of_few(dataset, recipe)
    if "aux_heads" in inspect.signature(get_constructor(network.model)).parameters:
        bare = dataclasses.replace(network, weights=None)
        context = dataclasses.replace(
            context, network=lambda: bare.start(dataset, aux_heads=True)
        )
    stage = Train("", recipe=recipe)
    start = functools.partial(network.start, dataset)
    result = run([stage], context, start, {"start": network.describe()}).result("")
    trainer.warn_of_chance(result, dataset)
    return result


@options
class Forces:
    """Forces between filters: Force Regularization (Wen et al., ICCV 2017)."""

    strength: float = option(
        1e-3,
        "Strength of the force, lambda_s; negative to drive filters apart.",
        flag="force_strength",
    )
    norm: str = option("l2", "Norm of the force.", choices=NORMS, flag="force_norm")
    normalize: bool = option(
        False, "Mean over the filters in place of the sum.", flag="force_normalize"
    )
    scale: str = option(
        "norm",
        "Times or over the filter's length.",
        choices=SCALES,
        flag="force_scale",
    )
    relative: bool = option(
        False,
        "Strength relative to the data gradient at the start, layer by layer.",
        flag="force_relative",
    )
    layers: str = option(
        "all",
        f"Layers that forces act on: paper (the paper's choice), {HELP}.",
        flag="force_layers",
    )


@dataclasses.dataclass(frozen=True)
class Force(Train):
    """Trains the network with forces between the filters: their rank falls.

    Attributes:
        forces: The forces.
        family: Registry name of the network, for layers that the paper chose.
    """

    name: str = "force"
    forces: Forces = Forces()
    family: str | None = None

    def check(self):
        """As for every stage."""
        layers_of(self.forces.layers, self.family)

    def adapt(self, trainee, context):
        """Adds the force to the network that is trained."""
        forces = self.forces
        how = {name: getattr(forces, name) for name in ("norm", "normalize", "scale")}
        force = ForceRegularizer(forces.strength, **how)
        if forces.relative:
            force = self._relative(trainee, context, how)
        return with_regularizer(trainee, force, layers_of(forces.layers, self.family))

    def figures(self, trainee):
        """As for `Train`: rank, and length of the mean direction, of each layer."""
        chosen = layers_of(self.forces.layers, self.family)
        return {
            f"{layer.name} {name}": round(value, 4)
            for layer in rank_analysis(trainee, layers=chosen).layers
            for name, value in (
                ("rank", layer.rank),
                ("mean_direction", layer.mean_direction),
            )
        }

    def _relative(self, trainee, context, how):
        batch_size = self.recipe.batch_size
        batches = data.train_batches(
            context.dataset.train,
            augmentation=data.get_augmentation("none"),
            batch_size=batch_size,
            image_size=self.recipe.initial_size or trainee.input_shape[1],
            classes=len(context.dataset.class_names),
            fill=0.0,
            seed=context.seed,
            epochs=range(1),
        )
        pairs = itertools.islice(batches, _GRADIENT_BATCHES)
        images, targets = (
            np.concatenate(list(map(keras.ops.convert_to_numpy, arrays)))
            for arrays in zip(*pairs, strict=True)
        )
        return relative_force(
            trainee,
            self.forces.strength,
            images,
            targets,
            keras.losses.CategoricalCrossentropy(from_logits=True),
            batch_size=batch_size,
            **how,
        )
