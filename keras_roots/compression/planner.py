"""Which convolutions get filter groups, which lower ranks, for one budget."""

import os
from collections.abc import Sequence

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.benchmarking import LatencyTable
from keras_roots.compression.options import WAYS, layer_options, too_few_answers
from keras_roots.compression.plan import COSTS, CompressionPlan
from keras_roots.convolutions import ARITHMETIC, LayerPlan, Layers
from keras_roots.profiling import profile
from keras_roots.utils import checks

_RANK_MULTIPLES = {"latency": 8, "macs": 1}


class Planner:
    """Chooses groups and ranks of a model's convolutions, for one budget or several.

    Options, what they lose and what they cost are found once.

    Args:
        model: A functional or Sequential model.
        images: Samples of its inputs, in any form that `convolutions.Samples` knows; a
            few hundred of the training set.
        cost: `"latency"`, measured in LiteRT on this machine, or `"macs"`, counted.
        quantize: How the network will be quantised in LiteRT, for latencies: `None`,
            `"dynamic"` or `"int8"`.
        threads: Number of threads, for latencies.
        latency_table: `LatencyTable` of that type and threads, or the path of its file,
            which need not exist; `None` to measure and not keep it.
        ways: Of `WAYS`: filter groups for spatial convolutions without any, lower ranks
            for all.
        layers: Which layers may change: names, a function of the layer, `"pointwise"`,
            `"spatial"`; `None` for all convolutions and, with `"rank"` among `ways`,
            the hidden Dense layers: not the last one, which no layer with a kernel
            follows. Dense layers stay whole that have more units than they give answers
            to `images`.
        groups: Most groups of a layer.
        rank_multiple: What ranks per group are multiples of; `None` for 8, the width of
            a vector unit, where latency counts, and 1 where multiply-adds do.
        judge: What options are judged by: `"responses"`, the part of the variance of
            the layer's responses that is lost, or `"outputs"`, how much the network's
            outputs change with that option of that layer only: the network is run on
            64 samples for each number of groups, and for 4 ranks of each form, between
            which the others are interpolated. `"auto"`: outputs where that takes
            minutes, else responses.
        seed: Seed of everything random.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Attributes:
        total: Cost of the whole model: milliseconds, or multiply-adds.

    Raises:
        ValueError: An argument is impossible, the model is subclassed or has none of
            the convolutions.
        ImportError: LiteRT or TensorFlow is not installed, for latencies.
    """

    def __init__(
        self,
        model: keras.Model,
        images,
        *,
        cost: str = "latency",
        quantize: str | None = None,
        threads: int = 1,
        latency_table: str | os.PathLike | LatencyTable | None = None,
        ways: Sequence[str] = WAYS,
        layers: Layers = None,
        groups: int = 64,
        rank_multiple: int | None = None,
        judge: str = "auto",
        seed: int | None = 0,
        input_shape: Sequence | None = None,
    ):
        checks.choice("cost", cost, COSTS)
        checks.choice("quantize", quantize, ARITHMETIC)
        checks.integer("threads", threads)
        checks.seed(seed)
        if not isinstance(latency_table, LatencyTable):
            checks.path("latency_table", latency_table)
        if cost != "latency":
            checks.unused("latency_table", latency_table, "cost='latency'")
            checks.unused("quantize", quantize, "cost='latency'")
        self.original = graph.expand_composites(model)
        model = graph.take_apart(self.original)
        self.model, self.cost, self.input_shape = model, cost, input_shape
        self.seed = seed
        self.images = convolutions.Samples.of(model, images)
        self._counted = profile(self.original, input_shape)
        self._options = layer_options(
            model,
            self.images,
            ways=ways,
            layers=layers,
            groups=groups,
            rank_multiple=_RANK_MULTIPLES[cost]
            if rank_multiple is None
            else rank_multiple,
            many_ranks=cost == "macs",
            judge=judge,
            seed=seed,
            input_shape=input_shape,
        )
        if cost == "macs":
            self.total = float(self._counted.macs)
            self._costs = {
                name: np.array([float(option.cost.macs) for option in options])
                for name, options in self._options.items()
            }
        else:
            table = LatencyTable.open(latency_table, quantize, threads)
            self._costs = {
                name: np.array(table.ms([option.chain for option in options]))
                for name, options in self._options.items()
            }
            self.total = table.network_ms(self.original, input_shape)

    def plan(self, budget: float, scale: float = 1.0) -> CompressionPlan:
        """Chooses the options that lose least within a budget.

        Judged by responses, that is the largest product of the parts of their variance
        that layers keep (Zhang et al., Accelerating Very Deep Convolutional Networks,
        TPAMI 2016, section 3.3); judged by outputs, the least sum of their changes.
        Weighing layers by how much noise in their responses changes the network's
        outputs was tried: it chose no better for Network in Network, and worse for
        ResNet-20.

        Args:
            budget: Part of the model's cost that it may keep.
            scale: What a saving of single layers saves in the whole network, where that
                was measured: 0.9 if a tenth of it was lost.

        Returns:
            A `CompressionPlan`; `apply` makes the model.

        Raises:
            ValueError: The budget is no part, or cannot be reached.
        """
        budget = checks.part("budget", budget)
        scale = checks.number("scale", scale, above=0)
        wholes = sum(each[0] for each in self._costs.values())
        limit = wholes - (1 - budget) * self.total / scale
        lowest = "the most groups and lowest ranks"
        convolutions.check_budget(budget, self.least(scale), self.cost, lowest)
        losses = [
            np.array([option.loss for option in options])
            for options in self._options.values()
        ]
        chosen = convolutions.best_options(losses, list(self._costs.values()), limit)
        mixed = [
            name
            for (name, options), index in zip(
                self._options.items(), chosen, strict=True
            )
            if options[index].is_mixed
        ]
        return CompressionPlan(
            model=self.model,
            layers=tuple(map(self._row, self._options, chosen)),
            mixed=tuple(mixed),
            macs=self._counted.macs,
            params=self._counted.params,
            ms=self.total if self.cost == "latency" else None,
            cost=self.cost,
            images=self.images,
            seed=self.seed,
            input_shape=self.input_shape,
            scale=scale,
            original=self.original,
        )

    def least(self, scale: float = 1.0) -> float:
        """Returns the least budget that can be reached.

        Args:
            scale: As for `plan`.
        """
        saved = sum(each[0] - each.min() for each in self._costs.values())
        return 1 - scale * float(saved) / self.total

    def _row(self, name, index) -> LayerPlan:
        options, costs = self._options[name], self._costs[name]
        whole, option = options[0], options[index]
        timed = self.cost == "latency"
        return LayerPlan(
            name=name,
            way=option.way,
            groups=option.value if option.way == "groups" else whole.value,
            rank=option.value if option.way == "rank" else None,
            method=option.method,
            error=option.error,
            macs=whole.cost.macs,
            macs_after=option.cost.macs,
            params=whole.cost.params,
            params_after=option.cost.params,
            ms=float(costs[0]) if timed else None,
            ms_after=float(costs[index]) if timed else None,
            reason="" if option.way else self._reason(name, costs),
        )

    def _reason(self, name, costs) -> str:
        layer = convolutions.kernel_layers(self.model)[name]
        obstacle = graph.obstacle(
            layer, *convolutions.KERNEL_LAYERS
        ) or too_few_answers(self._options[name][0].chain[0], self.images)
        if obstacle:
            return obstacle
        if costs.min() >= costs[0]:
            return f"nothing saves {self.cost}"
        return "the budget has room for it"


def plan_compression(
    model: keras.Model, images, budget: float = 0.5, **options
) -> CompressionPlan:
    """Chooses filter groups and ranks, layer by layer, for one budget.

    Deep Roots (CVPR 2017) gives spatial convolutions groups, Coordinating Filters (ICCV
    2017) all of them lower ranks; which layer gets which, and how much, is decided by
    what that loses and what it saves.

    Args:
        model: As for `Planner`.
        images: As for `Planner`.
        budget: Part of the model's cost that it may keep.
        **options: Further arguments of `Planner`: `cost`, `quantize`, `latency_table`,
            `ways`, `judge` and so on.

    Returns:
        A `CompressionPlan`: it prints as a table, and `apply()` makes the model.

    Raises:
        ValueError: An argument is impossible, or the budget cannot be reached.
        ImportError: LiteRT or TensorFlow is not installed, for latencies.

    Example:
        >>> plan = plan_compression(model, images, 0.5, cost="macs")
        >>> small = plan.apply()  # then train on
    """
    checks.part("budget", budget)  # before the work
    return Planner(model, images, **options).plan(budget)
