"""What stages of experiments do: leave a network as it is, group it, train it."""

import dataclasses

import keras

from keras_roots.convolutions import recalibrate
from keras_roots.groups import plan_rootify
from keras_roots.training import runs, trainer
from keras_roots.training.stages import experiment_costs
from keras_roots.training.stages.experiment_rows import Stage
from keras_roots.training.trainer import Recipe, get_recipe

MOST = 64  # groups of a layer whose groups are chosen for a budget
LATENCIES = "latency.csv"  # times of layers, in the folder of a stage


@dataclasses.dataclass(frozen=True)
class Whole(Stage):
    """Leaves the network as it is, for what the others are held against."""

    name: str = "whole"

    def run(self, model, folder, bench):
        """As for every stage."""
        return model, {}


@dataclasses.dataclass(frozen=True)
class Grouped(Stage):
    """Gives the network filter groups, with BatchNorm's statistics estimated anew.

    Attributes:
        groups: Groups of the first stage, which halve from stage to stage.
        mix: Whether 1x1s are added, as for `rootify`.
        carry_over: Which weights stay, as for `rootify`.
        images: Training images for the statistics, for `carry_over="responses"` and for
            `budget`.
        budget: A cost, `"macs"` or `"latency"`: each layer gets groups of its own, at
            most `MOST`, for what the network costs with `groups`. `None` for those
            groups themselves.
        judged: Whether the budget is spent by what the network answers, `"responses"`,
            or by the `"energy"` of kernels.
    """

    name: str = "grouped"
    groups: int = 1
    mix: bool = False
    carry_over: str | None = "responses"
    images: int = 1000
    budget: str | None = None
    judged: str = "responses"

    def run(self, model, folder, bench):
        """As for every stage; writes `plan.csv`, and `latency.csv` with a latency."""
        images = bench.sample(model, self.images)
        plan = plan_rootify(model, self.groups, mix=self.mix)
        extra = {}
        if self.budget:
            part = experiment_costs.COSTS[self.budget](model, folder / LATENCIES)
            extra = {"budget": part(plan)}
            plan = plan_rootify(
                model,
                MOST,
                budget=extra["budget"],
                cost=self.budget,
                mix=self.mix,
                images=images if self.judged == "responses" else None,
                latency_table=folder / LATENCIES,
                seed=bench.seed,
            )
            extra |= {"predicted": part(plan)}
        bench.say(str(plan))
        runs.write_plan(folder, plan)
        small = plan.apply(self.carry_over, images, bench.seed)
        extra |= {"layer_groups": {row.name: row.groups for row in plan.layers}}
        return recalibrate(small, images), extra


@dataclasses.dataclass(frozen=True)
class Fresh(Grouped):
    """Gives the network filter groups and new random weights, all of them."""

    carry_over: str | None = None

    def run(self, model, folder, bench):
        """As for every stage."""
        small, extra = super().run(model, folder, bench)
        return keras.models.clone_model(small), extra


@dataclasses.dataclass(frozen=True)
class Trained(Stage):
    """Trains the network.

    Attributes:
        recipe: How.
    """

    name: str = "trained"
    recipe: Recipe | None = None

    def run(self, model, folder, bench):
        """As for every stage; writes `log.csv` and checkpoints."""
        trainer.fit(
            model,
            bench.dataset,
            self.recipe,
            folder,
            adapt=self.adapt,
            seed=bench.seed,
            distribution=bench.distribution,
            verbose=bench.verbose,
        )
        seconds = trainer.seconds(folder)
        return model, {"epochs": self.recipe.epochs, "seconds": seconds}

    def adapt(self, trainee: keras.Model) -> keras.Model:
        """Returns what is trained in place of the network, as for `fitting.fit`.

        Args:
            trainee: The network as the recipe has it, ready to be compiled.
        """
        return trainee

    def lasting(self, epochs):
        """As for every stage."""
        if epochs == 0:
            return None
        recipe = dataclasses.replace(self.recipe, epochs=epochs)
        return dataclasses.replace(self, recipe=recipe)


def falling(model: str, epochs: int) -> Recipe:
    """Returns the recipe of a network on CIFAR-10 for training on from trained weights.

    Args:
        model: Registry name.
        epochs: Passes over the training images, over which the learning rate falls to
            zero, from a fifth of the recipe's.
    """
    return _short(model, epochs, 5, 0.0)


def rising(model: str, epochs: int) -> Recipe:
    """Returns the recipe of a network on CIFAR-10, at its full rate and with a warm-up.

    Args:
        model: Registry name.
        epochs: Passes over the training images.
    """
    return _short(model, epochs, 1, 0.25)


def _short(model, epochs, divisor, warmup) -> Recipe:
    rate = get_recipe(model, "cifar10").learning_rate / divisor
    return get_recipe(
        model,
        "cifar10",
        epochs=epochs,
        learning_rate=rate,
        schedule="one_cycle",
        warmup=warmup,
        precision="mixed_bfloat16",
    )
