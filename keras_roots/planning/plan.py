"""Which convolutions get filter groups, which lower ranks, for one budget."""

import dataclasses
import math
import numbers
import os
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_roots import benchmarking
from keras_roots.lowrank import budget as budgets
from keras_roots.lowrank import plan_decomposition, recalibrate, samples
from keras_roots.lowrank.latency import DTYPES, LatencyTable
from keras_roots.planning.options import WAYS, latencies, layer_options
from keras_roots.profiling import profile
from keras_roots.rooting import plan_rootify
from keras_roots.tables import format_table

_WORST = 1 - 1e-9  # a loss of 1 would have no logarithm


@dataclasses.dataclass(frozen=True)
class LayerChoice:
    """What becomes of one convolution.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        way: `"groups"`, `"rank"`, or `None` if it stays.
        groups: Filter groups that it has then.
        rank: Rank over all groups that it has then; `None` if it is not decomposed.
        lost: Part of the variance of its responses that is lost, 0 to 1.
        cost: Its cost: multiply-adds, or milliseconds.
        cost_after: That of what takes its place.
    """

    name: str
    way: str | None
    groups: int
    rank: int | None
    lost: float
    cost: float
    cost_after: float


@dataclasses.dataclass(frozen=True)
class CompressionPlan:
    """What groups and ranks would save; prints as a table.

    Attributes:
        model: The model.
        layers: What becomes of its convolutions.
        cost: What counts: `"macs"` or `"latency"`.
        before: Cost of the whole model: multiply-adds, or measured milliseconds.
        after: What it is expected to cost then.
    """

    model: keras.Model = dataclasses.field(repr=False)
    layers: tuple[LayerChoice, ...]
    cost: str
    before: float
    after: float

    @property
    def groups(self) -> dict[str, int]:
        """Layers that get groups, and how many."""
        return {row.name: row.groups for row in self.layers if row.way == "groups"}

    @property
    def ranks(self) -> dict[str, int]:
        """Layers that are decomposed, and their ranks."""
        return {row.name: row.rank for row in self.layers if row.way == "rank"}

    def apply(self, images: np.ndarray, seed: int = 0) -> keras.Model:
        """Returns a copy of the model with these groups and ranks.

        Kernels are fitted to what the layers answered before, and BatchNormalization's
        statistics are estimated anew: it is worth what training is to start from.

        Args:
            images: Sample images `(n, height, width, channels)`, as the model takes
                them.
            seed: Seed of the search for channels that belong together.

        Raises:
            ValueError: The images do not fit the model.
            ImportError: SciPy is not installed, which groups need.
        """
        model = self.model
        if self.groups:
            plan = plan_rootify(model, self.groups, mix=True, seed=seed)
            model = plan.apply("responses", images, seed)
        if self.ranks:
            plan = plan_decomposition(
                model, method="responses", ranks=self.ranks, cost=None, images=images
            )
            model = plan.apply()
        return recalibrate(model, images)

    def sketch(self) -> keras.Model:
        """Returns a model of the same layers, whose weights are worth nothing yet.

        It takes the time that the model of `apply` takes, and is made at once.
        """
        model = self.model
        if self.groups:
            model = plan_rootify(model, self.groups, mix=True).apply("slice")
        if self.ranks:
            model = plan_decomposition(model, ranks=self.ranks, cost=None).apply()
        return model

    def __str__(self) -> str:
        header = ["layer", "gets", "groups", "rank", "lost"]
        header += [_UNITS[self.cost], "after", "part"]
        rows = [_cells(row, self.cost) for row in self.layers]
        total = ["whole model", "", "", "", ""]
        total += _amounts(self.before, self.after, self.cost)
        return format_table(header, rows, total, left=2)


class Planner:
    """Chooses what each convolution of a model becomes, for one budget after another.

    What options lose and cost is found once.

    Args:
        model: A functional or Sequential model with one input.
        images: Sample images `(n, height, width, channels)`, as the model takes them; a
            few hundred of the training set.
        cost: `"latency"`, measured in LiteRT on this machine, or `"macs"`, counted.
        dtype: How the network will run in LiteRT, for latencies: `"float32"`,
            `"dynamic"` or `"int8"`.
        threads: Number of threads, for latencies.
        table: `LatencyTable` of that type and threads, or the path of its file, which
            need not exist; `None` to measure and not keep it.
        ways: Of `WAYS`: filter groups for spatial convolutions without any, lower ranks
            for all.
        layers: Which convolutions may change: names, a function of the layer,
            `"pointwise"` or `"spatial"`.
        groups: Most groups of a layer.
        rank_multiple: What ranks per group are multiples of.
        seed: Seed of everything random.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Raises:
        ValueError: An argument is impossible, the model is subclassed or has none of
            the convolutions.
        ImportError: SciPy is not installed, which groups need, or what latencies are
            measured with.
    """

    def __init__(
        self,
        model: keras.Model,
        images: np.ndarray,
        *,
        cost: str = "latency",
        dtype: str = "float32",
        threads: int = 1,
        table: str | os.PathLike | LatencyTable | None = None,
        ways: Sequence[str] = WAYS,
        layers=None,
        groups: int = 64,
        rank_multiple: int = 8,
        seed: int = 0,
        input_shape: Sequence | None = None,
    ):
        if cost not in _UNITS:
            raise ValueError(
                f"`cost` must be one of {tuple(_UNITS)}. Received: cost={cost!r}"
            )
        if dtype not in DTYPES:
            raise ValueError(
                f"`dtype` must be one of {list(DTYPES)}. Received: dtype={dtype!r}"
            )
        self.model, self.cost = model, cost
        images = samples.check_images(model, images)
        self._options = layer_options(
            model,
            images,
            ways=ways,
            layers=layers,
            groups=groups,
            rank_multiple=rank_multiple,
            seed=seed,
            input_shape=input_shape,
        )
        if cost == "macs":
            self.total = float(profile(model, input_shape).macs)
            self._costs = {
                name: np.array([float(option.macs) for option in options])
                for name, options in self._options.items()
            }
        else:
            if not isinstance(table, LatencyTable):
                table = LatencyTable(table, dtype, threads)
            self._costs = latencies(self._options, table)
            self.total = _latency(model, dtype, threads, input_shape)

    def plan(self, budget: float, scale: float = 1.0) -> CompressionPlan:
        """Chooses for a budget what loses least.

        That is the largest product of the parts of their variance that the layers'
        responses keep, as ranks are chosen (Zhang et al., Accelerating Very Deep
        Convolutional Networks, TPAMI 2016, section 3.3). Weighing layers by how much
        noise in their responses changes the network's answers was tried: it chose no
        better for Network in Network, and worse for ResNet-20.

        Args:
            budget: Part of the model's cost that it may keep.
            scale: What a saving of single layers is worth in the whole network, where
                that was measured: 0.9 if a tenth of it was lost.

        Returns:
            A `CompressionPlan`; `apply` makes the model.

        Raises:
            ValueError: The budget is no part, or cannot be reached.
        """
        if not isinstance(budget, numbers.Real) or not 0 < budget < 1:
            raise ValueError(
                "`budget` must be a part of what the model costs, between 0 and 1. "
                f"Received: budget={budget!r}"
            )
        if not isinstance(scale, numbers.Real) or not 0 < scale < math.inf:
            raise ValueError(f"`scale` must be positive. Received: scale={scale!r}")
        wholes = sum(each[0] for each in self._costs.values())
        limit = wholes - (1 - budget) * self.total / scale
        least = sum(each.min() for each in self._costs.values())
        if limit < least:
            possible = math.ceil(1000 * self.least(scale)) / 1000
            raise ValueError(
                f"`budget` must be at least {possible}: with "
                "the most groups and lowest ranks of the layers considered, that part "
                f"of the model's {self.cost} is left. Received: budget={budget!r}"
            )
        losses = [
            np.array([-math.log1p(-min(option.lost, _WORST)) for option in options])
            for options in self._options.values()
        ]
        each = list(self._costs.values())
        chosen = budgets.least_error(losses, each, limit)
        chosen = budgets.use_up(chosen, losses, each, limit)
        rows = tuple(
            self._row(name, index)
            for name, index in zip(self._options, chosen, strict=True)
        )
        saved = scale * sum(row.cost - row.cost_after for row in rows)
        return CompressionPlan(
            self.model, rows, self.cost, self.total, self.total - saved
        )

    def least(self, scale: float = 1.0) -> float:
        """Returns the least budget that can be reached.

        Args:
            scale: As for `plan`.
        """
        saved = sum(each[0] - each.min() for each in self._costs.values())
        return 1 - scale * float(saved) / self.total

    def _row(self, name, index) -> LayerChoice:
        whole, option = self._options[name][0], self._options[name][index]
        return LayerChoice(
            name=name,
            way=option.way,
            groups=option.value if option.way == "groups" else whole.value,
            rank=option.value if option.way == "rank" else None,
            lost=option.lost,
            cost=float(self._costs[name][0]),
            cost_after=float(self._costs[name][index]),
        )


def plan_compression(
    model: keras.Model, images: np.ndarray, budget: float = 0.5, **options
) -> CompressionPlan:
    """Chooses filter groups and ranks, layer by layer, for one budget.

    Deep Roots (CVPR 2017) gives spatial convolutions groups, Coordinating Filters (ICCV
    2017) all of them lower ranks; which layer gets which, and how much, is decided by
    what it loses of its responses and what it saves.

    Args:
        model: As for `Planner`.
        images: As for `Planner`.
        budget: Part of the model's cost that it may keep.
        **options: Further arguments of `Planner`: `cost`, `dtype`, `table`, `ways` and
            so on.

    Returns:
        A `CompressionPlan`: it prints as a table, and `apply(images)` makes the model.

    Raises:
        ValueError: An argument is impossible, or the budget cannot be reached.
        ImportError: A package is missing, which the message names.

    Example:
        >>> plan = plan_compression(model, images, 0.5, cost="macs")
        >>> small = plan.apply(images)  # then train on
    """
    return Planner(model, images, **options).plan(budget)


_UNITS = {"latency": "ms", "macs": "MACs"}


def _latency(model, dtype, threads, input_shape) -> float:
    """Milliseconds of the whole model: the first decile, as those of its layers."""
    case = benchmarking.Case(
        model,
        threads=threads,
        input_shape=input_shape,
        quantize=DTYPES[dtype][0],
        optimize="latency",
    )
    return benchmarking.compare({model.name: case})[0].p10_ms


def _cells(row: LayerChoice, cost: str) -> list[str]:
    return [
        row.name,
        row.way or "",
        str(row.groups),
        "" if row.rank is None else str(row.rank),
        f"{row.lost:.2%}" if row.way else "",
        *_amounts(row.cost, row.cost_after, cost),
    ]


def _amounts(before, after, cost) -> list[str]:
    form: Callable = "{:.3f}".format if cost == "latency" else "{:,.0f}".format
    return [form(before), form(after), f"{after / before:.3f}"]
