"""Stages of experiments that coordinate filters, lower ranks or prune, and budgets."""

import dataclasses

from keras_roots import convolutions, lowrank, sparsity
from keras_roots.compression import Planner
from keras_roots.convolutions import find_convolutions
from keras_roots.regularizers import ForceRegularizer, with_regularizer
from keras_roots.training import runs
from keras_roots.training.stages.compression_settings import chosen_layers
from keras_roots.training.stages.experiment_rows import Stage
from keras_roots.training.stages.experiment_stages import LATENCIES, Trained


@dataclasses.dataclass(frozen=True)
class Forced(Trained):
    """Trains the network with Force Regularization (Wen et al., ICCV 2017).

    Attributes:
        strength: Of the l2 force, as for `ForceRegularizer`.
        layers: Convolutions that it acts on: `"all"`, `"pointwise"` or `"spatial"`.
    """

    name: str = "forced"
    strength: float = 1e-4
    layers: str = "all"

    def adapt(self, trainee):
        """Adds the force to the network that is trained."""
        force = ForceRegularizer(self.strength, norm="l2")
        return with_regularizer(trainee, force, chosen_layers(self.layers, None))


@dataclasses.dataclass(frozen=True)
class LowRank(Stage):
    """Decomposes convolutions by what they answer, and recalibrates BatchNorm.

    Attributes:
        macs: Part of the multiply-adds of the whole network that it may keep.
        layers: Convolutions that may change: `"all"`, `"pointwise"` or `"spatial"`.
        images: Training images for answers and statistics.
    """

    name: str = "low_rank"
    macs: float = 0.5
    layers: str = "all"
    images: int = 1000

    def run(self, model, folder, bench):
        """As for every stage; writes `plan.csv`."""
        images = bench.sample(model, self.images)
        chosen = chosen_layers(self.layers, None)
        plan = lowrank.plan_decomposition(
            model, method="responses", macs=self.macs, layers=chosen, images=images
        )
        bench.say(str(plan))
        runs.write_plan(folder, plan)
        ranks = {row.name: row.rank for row in plan.layers if row.decomposed}
        parts = [
            ranks.get(name, layer.filters) / layer.filters
            for name, layer in find_convolutions(model, chosen).items()
        ]
        extra = {"ranks": ranks, "mean_rank_ratio": sum(parts) / len(parts)}
        return convolutions.recalibrate(plan.apply(), images), extra


@dataclasses.dataclass(frozen=True)
class Budgeted(Stage):
    """Gives convolutions groups or lower ranks, layer by layer, for one budget.

    Attributes:
        part: Part of the network's cost that it may keep.
        cost: `"macs"`, counted, or `"latency"`, of float32 in LiteRT on one thread.
        images: Training images for what layers answer and for BatchNorm.
    """

    name: str = "budgeted"
    part: float = 0.5
    cost: str = "macs"
    images: int = 1000

    def run(self, model, folder, bench):
        """As for every stage; writes `plan.csv`, and `latency.csv` with a latency."""
        images = bench.sample(model, self.images)
        planner = Planner(
            model,
            images,
            cost=self.cost,
            table=folder / LATENCIES,
            seed=bench.seed,
        )
        plan = planner.plan(self.part)
        bench.say(str(plan))
        runs.write_plan(folder, plan)
        extra = {"predicted": plan.after / plan.before}
        extra |= {"layer_groups": plan.groups, "ranks": plan.ranks}
        return plan.apply(images, bench.seed), extra


@dataclasses.dataclass(frozen=True)
class Pruned(Stage):
    """Sets the smallest weights of every kernel to zero, where training leaves them.

    Attributes:
        sparsity: Part of the weights.
    """

    name: str = "pruned"
    sparsity: float = 0.5

    def run(self, model, folder, bench):
        """As for every stage."""
        del folder, bench
        model = sparsity.prune(model, self.sparsity)
        zeros = sparsity.sparsity_report(model).fraction
        return model, {"zeros": round(zeros, 4)}
