"""What becomes of a network that gets filter groups."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_roots import benchmarking, graph
from keras_roots.benchmarking import LatencyTable
from keras_roots.groups import asking, mixing, refit
from keras_roots.groups import carry_over as carrying
from keras_roots.groups.budget import COSTS, groups_within
from keras_roots.groups.stages import Spatial, spatial_convolutions
from keras_roots.profiling import profile
from keras_roots.utils import format_table

CARRY_OVER = ("energy", "responses", "slice", None)


@dataclasses.dataclass(frozen=True)
class LayerGroups:
    """What becomes of one spatial convolution.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        stage: Index of its stage.
        outputs: Height and width of its output, in its first call.
        channels: Its input channels.
        filters: Its filters.
        asked: Groups that it was to get; `None` if it was not chosen.
        groups: Groups that it gets: the most up to those that divide its channels and
            filters.
        macs: Multiply-adds for one input, over all calls.
        macs_after: Those with groups, and of the 1x1 that is added.
        params: Weights and biases.
        params_after: Those with groups, and of the 1x1 that is added.
        unmixed: What its output reaches before anything mixes its groups, a grouped
            convolution or an output; empty if they are mixed.
        mix: Whether a 1x1 is added after it, `NAME_mix`, to mix them; another name
            if that is taken.
    """

    name: str
    stage: int
    outputs: tuple[int, int]
    channels: int
    filters: int
    asked: int | None
    groups: int
    macs: int
    macs_after: int
    params: int
    params_after: int
    unmixed: str
    mix: bool


@dataclasses.dataclass(frozen=True)
class RootPlan:
    """What filter groups would save; prints as a table.

    Attributes:
        model: The model.
        layers: What becomes of its spatial convolutions, but the first.
        macs: Multiply-adds of the whole model for one input, as `profile` counts them.
        params: Its weights and biases.
    """

    model: keras.Model = dataclasses.field(repr=False)
    layers: tuple[LayerGroups, ...]
    macs: int
    params: int

    @property
    def macs_after(self) -> int:
        """Multiply-adds of the model with groups."""
        return self.macs + sum(row.macs_after - row.macs for row in self.layers)

    @property
    def params_after(self) -> int:
        """Weights and biases of the model with groups."""
        return self.params + sum(row.params_after - row.params for row in self.layers)

    @property
    def unmixed(self) -> dict[str, str]:
        """Layers whose groups would never mix, and what they reach unmixed."""
        return {
            row.name: row.unmixed for row in self.layers if row.unmixed and not row.mix
        }

    def apply(
        self,
        carry_over: str | None = "energy",
        images: np.ndarray | None = None,
        seed: int = 0,
    ) -> keras.Model:
        """Returns a copy of the model with groups.

        Args:
            carry_over: As for `rootify`.
            images: As for `rootify`.
            seed: As for `rootify`.

        Raises:
            ValueError: `carry_over` is unknown, or `images` are missing.
            ImportError: SciPy is not installed.
        """
        if carry_over not in CARRY_OVER:
            raise ValueError(
                f"`carry_over` must be one of {CARRY_OVER}. "
                f"Received: carry_over={carry_over!r}"
            )
        asking.check_seed(seed)
        if carry_over == "responses" and images is None:
            raise ValueError(
                "`images` must be given for carry_over='responses': sample images as "
                "the model takes them, a few hundred of the training set. "
                "Received: images=None"
            )
        dense = self.model
        mixed = [row.name for row in self.layers if row.mix]
        if mixed:
            dense = mixing.add_mixing(dense, mixed)
        groups = {row.name: row.groups for row in self.layers if row.groups > 1}
        if carry_over in ("energy", "responses"):
            dense = carrying.put_in_order(dense, groups, seed)
        grouped = carrying.divide(dense, groups, fresh=carry_over is None)
        if carry_over == "responses":
            refit.refit(dense, grouped, groups, images, seed=seed)
        return grouped

    def __str__(self) -> str:
        header = ("layer", "not mixed before", "stage", "output", "channels", "filters")
        header += ("groups", "asked", "MACs", "after", "part", "params", "after")
        total = ["whole model", *[""] * 7]
        total += _counts(self.macs, self.macs_after, self.params, self.params_after)
        return format_table(header, list(map(_cells, self.layers)), total, left=2)


def plan_rootify(
    model: keras.Model,
    root: int | Sequence[int] | Mapping[str, int] = 64,
    topology: str = "root",
    layers=None,
    *,
    budget: float | None = None,
    cost: str = "macs",
    mix: bool = False,
    images: np.ndarray | None = None,
    latency_table: str | os.PathLike | LatencyTable | None = None,
    seed: int = 0,
    input_shape: Sequence | None = None,
) -> RootPlan:
    """Decides which convolutions of a model get how many filter groups.

    Args:
        model: As for `rootify`, like all arguments.
        root: Groups of the first stage, of every stage, or of layers by name.
        topology: How groups go on from stage to stage.
        layers: Which spatial convolutions.
        budget: Part of the model's cost that it may keep; groups are then chosen layer
            by layer.
        cost: What the budget is of.
        images: Sample images, with a budget.
        latency_table: Measured times.
        seed: Seed of the search for channels that belong together.
        mix: Whether 1x1s are added where groups would never mix.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Returns:
        A `RootPlan`: per layer groups, multiply-adds and parameters before and after.
        It prints as a table, and `apply()` returns the model with groups.

    Raises:
        ValueError: As `rootify`.

    Example:
        >>> plan = plan_rootify(keras.applications.ResNet50(weights=None), root=64)
        >>> plan.macs_after / plan.macs
        0.548
    """
    if cost not in tuple(COSTS):
        raise ValueError(
            f"`cost` must be one of {tuple(COSTS)}. Received: cost={cost!r}"
        )
    asking.check_seed(seed)
    graph.check_built(model)
    counted = profile(model, input_shape)
    root = asking.check_root(root, layers, budget)
    spatial = spatial_convolutions(model, layers, input_shape)
    spatial, asked = asking.ask(spatial, root, topology)
    if budget is not None:
        ids = {s.name: id(s.layer) for s in spatial}

        def mixed(grouped):
            names = {ids[name]: name for name in grouped}
            return mixing.find_unmixed(model, names, input_shape) if mix else ()

        asked |= groups_within(
            model,
            spatial,
            max(asked.values()),
            budget,
            cost,
            total=_total(model, counted.macs, cost, input_shape),
            mixed=mixed,
            table=latency_table,
            images=images,
            seed=seed,
            input_shape=input_shape,
        )
    groups = {
        layer.name: _most(asked[layer.name], layer) if layer.chosen else 1
        for layer in spatial
    }
    grouped = {id(s.layer): s.name for s in spatial if groups[s.name] > 1}
    unmixed = mixing.find_unmixed(model, grouped, input_shape)
    rows = tuple(
        _row(layer, asked, groups[layer.name], unmixed.get(layer.name, ""), mix)
        for layer in spatial
    )
    return RootPlan(model, rows, counted.macs, counted.params)


def _total(model, macs, cost, input_shape) -> float:
    """What the whole model costs."""
    if cost == "macs":
        return float(macs)
    case = benchmarking.Case(model, input_shape=input_shape)
    return benchmarking.compare({model.name: case})[0].p10_ms


def _most(asked, layer) -> int:
    """The most groups, up to those asked, that divide a layer's channels."""
    common = math.gcd(layer.channels, layer.filters)
    return max(n for n in range(1, min(asked, common) + 1) if common % n == 0)


def _row(layer: Spatial, asked, groups, unmixed, mix) -> LayerGroups:
    positions = sum(map(math.prod, layer.outputs))
    weights = math.prod(layer.layer.kernel.shape)
    biases = layer.filters * layer.layer.use_bias
    calls = len(layer.outputs)
    added = layer.filters**2 if mix and unmixed else 0
    return LayerGroups(
        name=layer.name,
        stage=layer.stage,
        outputs=layer.outputs[0],
        channels=layer.channels,
        filters=layer.filters,
        asked=asked[layer.name] if layer.chosen else None,
        groups=groups,
        macs=weights * positions + biases * calls,
        macs_after=(weights // groups + added) * positions + biases * calls,
        params=weights + biases,
        params_after=weights // groups + added + biases,
        unmixed=unmixed,
        mix=bool(added),
    )


def _cells(row) -> list[str]:
    return [
        row.name,
        f"1x1 added ({row.unmixed})" if row.mix else row.unmixed,
        str(row.stage),
        "x".join(map(str, row.outputs)),
        str(row.channels),
        str(row.filters),
        str(row.groups),
        "" if row.asked is None else str(row.asked),
        *_counts(row.macs, row.macs_after, row.params, row.params_after),
    ]


def _counts(macs, macs_after, params, params_after) -> list[str]:
    part = f"{macs_after / macs:.3f}"
    return [f"{macs:,}", f"{macs_after:,}", part, f"{params:,}", f"{params_after:,}"]
