"""Which convolutions get filter groups, which lower ranks, for one budget."""

import math
import numbers
import os
from collections.abc import Sequence

import keras
import numpy as np

from keras_roots import benchmarking, convolutions
from keras_roots.benchmarking import DTYPES, LatencyTable
from keras_roots.compression.options import WAYS, latencies, layer_options
from keras_roots.compression.plan import UNITS, CompressionPlan, LayerChoice
from keras_roots.groups import check_seed
from keras_roots.profiling import profile


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
        if cost not in tuple(UNITS):
            raise ValueError(
                f"`cost` must be one of {tuple(UNITS)}. Received: cost={cost!r}"
            )
        if dtype not in tuple(DTYPES):
            raise ValueError(
                f"`dtype` must be one of {list(DTYPES)}. Received: dtype={dtype!r}"
            )
        check_seed(seed)
        self.model, self.cost, self.input_shape = model, cost, input_shape
        images = convolutions.check_images(model, images)
        macs = profile(model, input_shape).macs
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
            self.total = float(macs)
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
        _check_budget(budget)
        if not isinstance(scale, numbers.Real) or not 0 < scale < math.inf:
            raise ValueError(f"`scale` must be positive. Received: scale={scale!r}")
        wholes = sum(each[0] for each in self._costs.values())
        limit = wholes - (1 - budget) * self.total / scale
        least = sum(each.min() for each in self._costs.values())
        if least >= wholes:
            raise ValueError(
                "`budget` cannot be met: none of the layers considered saves any "
                f"{self.cost} by groups or ranks. Other `layers` or `ways` may. "
                f"Received: budget={budget!r}"
            )
        if limit < least:
            possible = math.ceil(1000 * self.least(scale)) / 1000
            raise ValueError(
                f"`budget` must be at least {possible}: with "
                "the most groups and lowest ranks of the layers considered, that part "
                f"of the model's {self.cost} is left. Received: budget={budget!r}"
            )
        losses = [
            convolutions.log_loss(np.array([option.lost for option in options]))
            for options in self._options.values()
        ]
        chosen = convolutions.best_options(losses, list(self._costs.values()), limit)
        rows = tuple(
            self._row(name, index)
            for name, index in zip(self._options, chosen, strict=True)
        )
        saved = scale * sum(row.cost - row.cost_after for row in rows)
        return CompressionPlan(
            self.model,
            rows,
            self.cost,
            self.total,
            self.total - saved,
            self.input_shape,
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
    _check_budget(budget)  # before the work
    return Planner(model, images, **options).plan(budget)


def _check_budget(budget):
    if not isinstance(budget, numbers.Real) or not 0 < budget < 1:
        raise ValueError(
            "`budget` must be a part of what the model costs, between 0 and 1. "
            f"Received: budget={budget!r}"
        )


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
