"""Which convolutions to decompose, how, and to what rank."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_roots.benchmarking import LatencyTable
from keras_roots.convolutions import (
    Convolution,
    Cost,
    Layers,
    ResponseStatistics,
    find_convolutions,
    input_sides,
    layer_responses,
    read_kernels,
)
from keras_roots.lowrank import timing
from keras_roots.lowrank.budget import ranks_within
from keras_roots.lowrank.candidates import Candidate
from keras_roots.lowrank.choices import Methods, check_arguments, choose_methods
from keras_roots.lowrank.methods import METHODS, Target
from keras_roots.lowrank.replacement import replace_layers
from keras_roots.profiling import profile
from keras_roots.utils import format_table


@dataclasses.dataclass(frozen=True)
class LayerPlan:
    """What becomes of one convolution.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        method: How it would be decomposed; `None` if that was not considered.
        groups: Filter groups.
        rank: M, over all groups, that it would have; `None` if it stays for sure.
        full_rank: The rank at which the method loses nothing.
        error: Relative squared error at that rank: of the kernel, or with the method
            `"responses"` of the responses.
        macs: Multiply-adds for one input, over all calls of the layer.
        macs_after: Those of what takes its place.
        params: Weights and biases.
        params_after: Those of what takes its place.
        ms: Measured milliseconds, if latency decides.
        ms_after: Those of the two convolutions that would take its place.
        decomposed: Whether it is decomposed.
        reason: Why it is not; empty if it is.
    """

    name: str
    method: str | None
    groups: int
    rank: int | None
    full_rank: int | None
    error: float | None
    macs: int
    macs_after: int
    params: int
    params_after: int
    ms: float | None
    ms_after: float | None
    decomposed: bool
    reason: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """What decomposing a model would save; prints as a table.

    Attributes:
        model: The model.
        layers: What becomes of each of its convolutions.
        before: Cost of the whole model, as `profile` counts it.
        responses: Statistics of layers that are decomposed by their responses.
    """

    model: keras.Model = dataclasses.field(repr=False)
    layers: tuple[LayerPlan, ...]
    before: Cost
    responses: Mapping[str, ResponseStatistics] = dataclasses.field(repr=False)

    @property
    def macs(self) -> int:
        """Multiply-adds of the model for one input."""
        return self.before.macs

    @property
    def macs_after(self) -> int:
        """Multiply-adds of the decomposed model."""
        return self.macs + sum(row.macs_after - row.macs for row in self.layers)

    @property
    def params(self) -> int:
        """Weights and biases of the model's convolution and dense layers."""
        return self.before.params

    @property
    def params_after(self) -> int:
        """Those of the decomposed model."""
        return self.params + sum(row.params_after - row.params for row in self.layers)

    def apply(self) -> keras.Model:
        """Returns a copy of the model, decomposed with the weights that it has now."""
        found = find_convolutions(self.model)
        return replace_layers(
            self.model,
            {
                id(found[row.name]): (
                    row.method,
                    row.rank,
                    _target(row.name, found[row.name], self.responses),
                )
                for row in self.layers
                if row.decomposed
            },
        )

    def __str__(self) -> str:
        timed = any(row.ms is not None for row in self.layers)
        header = ["layer", "method", "groups", "rank", "error"]
        header += ["MACs", "after", "part", "params", "after"]
        header += ["ms", "after"] * timed + ["left whole"]
        total = ["whole model", "", "", "", ""]
        total += _counts(self.macs, self.macs_after, self.params, self.params_after)
        total += ["", ""] * timed + [""]
        return format_table(
            header, [_cells(row, timed) for row in self.layers], total, left=2
        )


def plan_decomposition(
    model: keras.Model,
    error: float = 0.05,
    method: Methods = "pca",
    ranks: Mapping[str, int] | None = None,
    cost: str | None = "macs",
    *,
    macs: float | int | None = None,
    layers: Layers = None,
    images: np.ndarray | None = None,
    latency_table: str | os.PathLike | LatencyTable | None = None,
    rank_multiple: int = 1,
    input_shape: Sequence | None = None,
) -> Plan:
    """Decides which convolutions to decompose, and to what ranks.

    Wen et al., Force Regularization (ICCV 2017), section 3.1: a convolution becomes one
    with M filters and a 1x1 that combines them, M the least rank within the error.
    Filter groups are decomposed one by one, all to the same rank.

    Args:
        model: A functional or Sequential model, models within it included.
        error: Bound on each layer's squared error relative to its energy, between 0 and
            1; not used with `ranks` or `macs`.
        method: One of `METHODS`, a mapping from names of layers to them (such as
            `ALEXNET_LRA`), or a function of a layer that returns one or `None`.

            * `"pca"`: leading directions of the filters.
            * `"svd"`: the same subspace, scaled evenly between the two layers.
            * `"kmeans"`: centroids of the filters.
            * `"separable"`: along height, then along width (Tai et al., ICLR 2016).
            * `"responses"`: leading directions of what the layer answers to `images`
              (Zhang et al., TPAMI 2016).
        ranks: Ranks M by name of layer, over all groups, to decompose these only.
        cost: What decomposing a layer must save: `"macs"`, counted, or `"latency"`,
            measured in LiteRT on this machine; `None` for nothing.
        macs: Instead of `error`, multiply-adds of the whole model: a number, or a part
            of what it has as a float below 1. Ranks are chosen for the largest
            product of the energies, `1 - error`, that layers keep (Zhang et al., TPAMI
            2016, section 3.3).
        layers: Which convolutions to consider: names, a function of the layer,
            `"pointwise"` (the 1x1s, which filter groups leave whole) or `"spatial"`.
        images: Sample images, as the model takes them, for the method `"responses"`.
        latency_table: For `cost="latency"`, a `LatencyTable`, or the path of its file,
            which need not exist; `None` to measure and not keep it.
        rank_multiple: Rounds ranks per group up to multiples of this, such as the
            width of the vector unit, as far as they save MACs; not those in `ranks`.
        input_shape: Shape of one input, where the model's own has unknown sides.

    Returns:
        A `Plan`: per layer rank, error, multiply-adds and parameters before and after.
        It prints as a table, and `apply()` returns the decomposed model.

    Raises:
        ValueError: An argument is impossible, the model is subclassed or has none of
            the convolutions, or weights are not finite.

    Example:
        >>> from keras_roots import RootConvNet
        >>> plan = plan_decomposition(RootConvNet(), ranks={"conv2": 8})
        >>> plan.macs - plan.macs_after
        4849664
    """
    check_arguments(error, method, ranks, cost, macs, rank_multiple)
    before = profile(model, input_shape)
    every = find_convolutions(model)
    sides = input_sides(model, input_shape)
    described = {
        name: Convolution.of(layer, sides[id(layer)]) for name, layer in every.items()
    }
    methods, reasons = choose_methods(
        every, find_convolutions(model, layers), method, ranks
    )
    responses = _responses(model, methods, images)
    candidates = {
        name: Candidate(
            name, methods[name], _target(name, every[name], responses), described[name]
        )
        for name in methods
    }
    if ranks is not None:
        for name, rank in ranks.items():
            candidates[name].check_rank(rank)
        chosen = {name: int(ranks[name]) for name in candidates}
    elif macs is not None:
        chosen = ranks_within(candidates, before.macs, macs, cost, rank_multiple)
    else:
        chosen = {
            name: candidate.rounded(candidate.least_rank(error), rank_multiple)
            for name, candidate in candidates.items()
        }
    times = {}
    if cost == "latency":
        times = timing.measure(candidates, chosen, latency_table)
    rows = tuple(
        _considered(candidates[name], chosen[name], cost, times.get(name))
        if chosen.get(name)
        else _left_whole(
            name,
            described[name],
            reasons.get(name, "the budget has room for it"),
        )
        for name in every
    )
    return Plan(model, rows, Cost(before.macs, before.params), responses)


def _responses(model, methods, images) -> dict[str, ResponseStatistics]:
    names = [name for name, method in methods.items() if METHODS[method].by_responses]
    if not names:
        return {}
    if images is None:
        raise ValueError(
            "`images` must be given for the method 'responses': sample images as the "
            "model takes them, a few hundred of the training set. Received: images=None"
        )
    return layer_responses(model, names, images)


def _target(name, layer, responses) -> Target:
    return Target(read_kernels(name, layer), layer.groups, responses.get(name))


def _considered(candidate, rank, cost, times) -> LayerPlan:
    before, after = candidate.convolution.cost, candidate.cost(rank)
    ms, ms_after = times or (None, None)
    reason = ""
    if cost == "macs" and after.macs >= before.macs:
        reason = "no fewer MACs"
    elif cost == "latency" and ms_after >= ms:
        reason = "not faster"
    if reason:
        after = before
    return LayerPlan(
        name=candidate.name,
        method=candidate.method_name,
        groups=candidate.groups,
        rank=rank,
        full_rank=candidate.full_rank,
        error=candidate.error(rank),
        macs=before.macs,
        macs_after=after.macs,
        params=before.params,
        params_after=after.params,
        ms=ms,
        ms_after=ms_after,
        decomposed=not reason,
        reason=reason,
    )


def _left_whole(name, convolution, reason) -> LayerPlan:
    cost = convolution.cost
    return LayerPlan(
        name=name,
        method=None,
        groups=convolution.groups,
        rank=None,
        full_rank=None,
        error=None,
        macs=cost.macs,
        macs_after=cost.macs,
        params=cost.params,
        params_after=cost.params,
        ms=None,
        ms_after=None,
        decomposed=False,
        reason=reason,
    )


def _cells(row, timed) -> list[str]:
    considered = row.rank is not None
    return [
        row.name,
        row.method if considered else "",
        str(row.groups),
        f"{row.rank}/{row.full_rank}" if considered else "",
        f"{row.error:.2%}" if considered else "",
        *_counts(row.macs, row.macs_after, row.params, row.params_after),
        *[f"{ms:.3f}" if ms else "" for ms in (row.ms, row.ms_after)] * timed,
        row.reason,
    ]


def _counts(macs, macs_after, params, params_after) -> list[str]:
    part = f"{macs_after / macs:.3f}"
    return [f"{macs:,}", f"{macs_after:,}", part, f"{params:,}", f"{params_after:,}"]
