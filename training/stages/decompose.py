"""Stages that lower the ranks of convolutions, or give them groups or ranks."""

import dataclasses
from collections.abc import Mapping

from keras_roots import compression, lowrank
from keras_roots.compression import WAYS, plan_compression
from keras_roots.convolutions import Samples, find_convolutions, recalibrate
from keras_roots.training import plans
from keras_roots.training.options import option, options
from keras_roots.training.stages.group import recalibration_images
from keras_roots.training.stages.layer_names import HELP, layers_of
from keras_roots.training.stages.stage import Stage
from keras_roots.utils import checks, read_csv

COSTS = ("macs", "latency", "none")
QUANTIZATIONS = ("auto", "none", "int8")
_JUDGED = 500  # samples that tell whether to recalibrate


def _layers():
    return option("all", f"Layers to make cheaper: {HELP}.")


def _budget():
    return option(
        None,
        "In place of a bound on the error: part of the cost that the network may keep, "
        "by filter groups, ranks and int8; by ranks alone where a method is given.",
    )


def _cost():
    return option(
        None,
        "Cost that is to fall: macs, counted, or latency, measured on this machine; "
        "none to decompose layers that save nothing too. By default latency with a "
        "budget for groups and ranks, else macs.",
        choices=COSTS,
    )


def read_ranks(text: str) -> dict[str, int]:
    """Reads ranks of layers.

    Args:
        text: `"conv2=12,conv3=20"`, or the path of a `plan.csv` that a decomposition
            wrote.

    Raises:
        ValueError: It is neither.
    """
    try:
        if text.endswith(".csv"):
            rows = read_csv(text)
            chosen = (row for row in rows if row["way"] == "rank")
            return {row["name"]: int(row["rank"]) for row in chosen}
        pairs = (pair.rsplit("=", 1) for pair in text.split(","))
        return {name.strip(): int(rank) for name, rank in pairs}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            "`ranks` must be layer=rank,layer=rank or the plan.csv of a compression. "
            f"Received: {text!r}"
        ) from error


@options
class Decomposition:
    """How the network is decomposed, as for `keras_roots.decompose`."""

    layers: str = _layers()
    error: float = option(0.05, "Relative squared error of each layer.")
    ranks: Mapping[str, int] | None = option(
        None,
        "In place of error: ranks of layers, conv2=12,conv3=20, or the plan.csv of "
        "another compression.",
        parse=read_ranks,
    )
    budget: float | None = _budget()
    method: tuple[str, ...] = option(
        ("pca",),
        "How layers are decomposed; of several, each by the one that is best for the "
        "budget or cheapest within the error.",
        choices=tuple(lowrank.METHODS),
    )
    cost: str | None = _cost()
    rank_multiple: int = option(1, "Rounds ranks up to multiples.", least=1)
    recalibration_images: int = recalibration_images()

    @property
    def by_responses(self) -> bool:
        """Whether some may be decomposed by what they answer to images."""
        return any(name in lowrank.BY_RESPONSES for name in self.method)


@dataclasses.dataclass(frozen=True)
class Decompose(Stage):
    """Replaces convolutions by two cheaper ones where that pays.

    Attributes:
        settings: How.
    """

    name: str = "decompose"
    settings: Decomposition = Decomposition()

    def check(self):
        """As for every stage."""
        how = self.settings
        lowrank.check_arguments(
            how.error,
            how.method,
            how.ranks,
            _cost_of(how.cost),
            how.budget,
            how.rank_multiple,
        )
        if how.by_responses and not how.recalibration_images:
            raise ValueError(
                f"`method` {', '.join(how.method)} needs sample images. "
                "Received: recalibration_images=0"
            )
        layers_of(how.layers)

    def run(self, model, folder, context):
        """As for every stage; writes `plan.csv`."""
        how = self.settings
        chosen, images = layers_of(how.layers), None
        if how.recalibration_images:
            images = context.sample(model, how.recalibration_images)
        plan = lowrank.plan_decomposition(
            model,
            how.error,
            how.method,
            how.ranks,
            _cost_of(how.cost),
            budget=how.budget,
            layers=chosen,
            images=images if how.by_responses else None,
            rank_multiple=how.rank_multiple,
        )
        context.say(str(plan))
        plans.write(folder, plan)
        parts = [
            plan.ranks.get(name, layer.filters) / layer.filters
            for name, layer in find_convolutions(plan.model, chosen).items()
        ]
        extra = {"ranks": plan.ranks, "mean_rank_ratio": sum(parts) / len(parts)}
        small = plan.apply()
        if images is None or how.by_responses:  # which recalibration would undo
            return small, extra
        return recalibrate(small, images), extra


@options
class Budget:
    """What the network may cost, and by which means."""

    budget: float | None = _budget()
    cost: str | None = _cost()
    quantize: str = option(
        "auto", "Files that a budget of latency chooses among.", choices=QUANTIZATIONS
    )
    ways: tuple[str, ...] = option(
        WAYS, "What a budget gives layers: groups, rank.", choices=WAYS
    )
    layers: str = _layers()
    threads: int = option(1, "Threads of the LiteRT runtime.", least=1)
    latency_table: str | None = option(None, "CSV file of measured times of layers.")
    recalibration_images: int = recalibration_images()


@dataclasses.dataclass(frozen=True)
class MeetBudget(Stage):
    """Gives convolutions groups or lower ranks, layer by layer, within one budget.

    Attributes:
        settings: The budget.
    """

    name: str = "decompose"
    settings: Budget = Budget()

    @property
    def cost(self) -> str:
        """The cost that falls."""
        return self.settings.cost or "latency"

    def check(self):
        """As for every stage."""
        checks.part("budget", self.settings.budget)
        checks.choice("cost", self.cost, ("macs", "latency"))
        layers_of(self.settings.layers)
        if not self.settings.recalibration_images:
            raise ValueError(
                "`budget` needs sample images. Received: recalibration_images=0"
            )

    def run(self, model, folder, context):
        """As for every stage; writes `plan.csv`."""
        how = self.settings
        images = Samples.of(model, context.sample(model, how.recalibration_images))
        chosen = {
            "ways": how.ways,
            "layers": layers_of(how.layers),
            "latency_table": how.latency_table,
            "seed": context.seed,
        }
        if self.cost == "macs":
            plan = plan_compression(model, images, how.budget, cost="macs", **chosen)
            context.say(str(plan))
            plans.write(folder, plan)
            extra = {"predicted": plan.macs_after / plan.macs}
            extra |= {"layer_groups": plan.groups, "ranks": plan.ranks}
            against = compression.Evaluation(model, images.take(_JUDGED))
            return compression.carry_out(plan, against, context.say)[0], extra
        met = compression.meet_budget(
            model,
            images,
            how.budget,
            quantize=_quantizations(how.quantize),
            threads=how.threads,
            say=context.say,
            **chosen,
        )
        if met.plan is not None:
            plans.write(folder, met.plan)
        extra = {"quantize": met.quantize, "latency_ratio": round(met.ratio, 4)}
        return met.model, extra


def _cost_of(cost) -> str | None:
    return None if cost == "none" else cost or "macs"


def _quantizations(quantize) -> tuple[str | None, ...]:
    each = {"none": (None,), "int8": ("int8",), "auto": (None, "int8")}
    return each[quantize]
