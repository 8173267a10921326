"""Which convolutions and Dense layers to decompose, how, and to what rank."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

import keras
import numpy as np

from keras_roots import graph
from keras_roots.benchmarking import LatencyTable
from keras_roots.convolutions import (
    Convolution,
    LayerPlan,
    Layers,
    Plan,
    Samples,
    input_sides,
    kernel_layers,
    read_kernels,
    total_cost,
)
from keras_roots.lowrank.budget import ranks_within
from keras_roots.lowrank.candidates import Candidate, with_responses
from keras_roots.lowrank.choices import (
    Methods,
    check_arguments,
    choose_methods,
    layers_to_consider,
)
from keras_roots.lowrank.in_order import decompose_in_order
from keras_roots.lowrank.methods import BY_RESPONSES, Target, factorise
from keras_roots.lowrank.replacement import replace_layers
from keras_roots.profiling import profile
from keras_roots.utils import checks


def _rank(row) -> str:
    return "" if row.rank is None else f"{row.rank}/{row.full_rank}"


def _error(row) -> str:
    return "" if row.error is None else f"{row.error:.2%}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerDecomposition(LayerPlan):
    """What a plan makes of one convolution: two, or what it is.

    Rank and error are given as well where a layer stays because that saves too little.

    Attributes:
        full_rank: The rank at which the method loses nothing.
    """

    full_rank: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecompositionPlan(Plan):
    """What decomposing a model would save; prints as a table.

    Attributes:
        images: Sample images, for layers that are decomposed by their responses.
    """

    images: Samples | None = dataclasses.field(default=None, repr=False, compare=False)

    columns: ClassVar = (
        ("method", lambda row: row.method or ""),
        ("groups", lambda row: str(row.groups)),
        ("rank", _rank),
        ("error", _error),
    )

    def apply(self) -> keras.Model:
        """Returns a copy of the model, decomposed with the weights that it has now.

        Layers that are decomposed by their responses are fitted one by one to what the
        model answers, from what the layers before them give when they are decomposed
        (asymmetric reconstruction; Zhang et al., TPAMI 2016, section 3.3).

        Raises:
            ValueError: Weights or responses are not finite.
        """
        chosen = {
            row.name: (row.method, row.rank) for row in self.layers if row.way == "rank"
        }
        if any(method in BY_RESPONSES for method, _ in chosen.values()):
            networks = self.model, self.model
            return self._together(decompose_in_order(*networks, chosen, self.images))
        found = kernel_layers(self.model)
        factors = {}
        for name, (method, rank) in chosen.items():
            layer = found[name]
            target = Target(read_kernels(name, layer), Convolution.of(layer).groups)
            factors[id(layer)] = method, factorise(method, target, rank)
        return self._together(replace_layers(self.model, factors))


def plan_decomposition(
    model: keras.Model,
    error: float = 0.05,
    method: Methods = "pca",
    ranks: Mapping[str, int] | None = None,
    cost: str | None = "macs",
    *,
    budget: float | None = None,
    layers: Layers = None,
    images: np.ndarray | None = None,
    latency_table: str | os.PathLike | LatencyTable | None = None,
    rank_multiple: int = 1,
    input_shape: Sequence | None = None,
) -> DecompositionPlan:
    """Decides which convolutions to decompose, and to what ranks.

    Wen et al., Force Regularization (ICCV 2017), section 3.1: a convolution becomes one
    with M filters and a 1x1 that combines them, M the least rank within the error.
    Filter groups are decomposed one by one, all to the same rank.

    Args:
        model: A functional or Sequential model, models within it included.
        error: Bound on each layer's squared error relative to its energy, between 0 and
            1; not used with `ranks` or `budget`.
        method: One of `METHODS` or several, a mapping from names of layers to them
            (such as `ALEXNET_LRA`), or a function of a layer that returns one or
            `None`.

            * `"pca"`: leading directions of the filters.
            * `"svd"`: the same subspace, scaled evenly between the two layers.
            * `"kmeans"`: centroids of the filters.
            * `"separable"`: along height, then along width (Tai et al., ICLR 2016).
            * `"responses"`: leading directions of what the layer answers to `images`
              (Zhang et al., TPAMI 2016).
            * `"separable_responses"`: along height as by `"separable"`, then along
              width what is nearest to what the layer answers to `images`.

            Of a tuple of methods each layer gets the one that costs least within
            `error`, or that is best for the `budget`.
        ranks: Ranks M by name of layer, over all groups, to decompose these only.
        cost: What decomposing a layer must save: `"macs"`, counted, or `"latency"`,
            measured in LiteRT on this machine; `None` for nothing.
        budget: Instead of `error`, the part of the model's `cost` that it may keep,
            between 0 and 1 (of its multiply-adds with `None`). Ranks are chosen for the
            largest product of the energies, `1 - error`, that layers keep (Zhang et
            al., TPAMI 2016, section 3.3). `plan_compression(ways=("rank",))` chooses
            them by what they do to the model's outputs, which keeps more.
        layers: Which convolutions and Dense layers to consider: names, a function of
            the layer, `"pointwise"` (the 1x1 convolutions, which filter groups leave
            whole), `"spatial"`. `None` means all convolutions, as in the papers, Dense
            layers that `ranks` or `method` name, and with `budget` the hidden Dense
            layers: not the last one, the classifier, which no layer with a kernel
            follows.
        images: Sample images, as the model takes them, for methods by responses.
        latency_table: For `cost="latency"`, a `LatencyTable`, or the path of its file,
            which need not exist; `None` to measure and not keep it.
        rank_multiple: Rounds ranks per group up to multiples of this, such as the
            width of the vector unit, as far as they save MACs; not those in `ranks`.
        input_shape: Shape of one input, where the model's own has unknown sides.

    Returns:
        A `DecompositionPlan`: per layer rank, error, multiply-adds and parameters
        before and after. It prints as a table; `apply()` returns the decomposed model.

    Raises:
        ValueError: An argument is impossible, the model is subclassed or has none of
            the convolutions, or weights are not finite.

    Example:
        >>> from keras_roots import RootConvNet
        >>> plan = plan_decomposition(RootConvNet(), ranks={"conv2": 8})
        >>> plan.macs - plan.macs_after
        4849664
    """
    check_arguments(error, method, ranks, cost, budget, rank_multiple)
    if cost != "latency":
        checks.unused("latency_table", latency_table, "cost='latency'")
    original = graph.expand_composites(model)
    model = graph.take_apart(original)
    before = profile(original, input_shape)
    considered = layers_to_consider(model, layers, method, ranks, budget)
    every = {
        name: layer
        for name, layer in kernel_layers(model).items()
        if name in considered or isinstance(layer, keras.layers.Conv2D)
    }
    sides = input_sides(model, input_shape)
    described = {
        name: Convolution.of(layer, sides[id(layer)]) for name, layer in every.items()
    }
    methods, reasons = choose_methods(every, considered, method, ranks)
    images = _samples(methods, images, model)
    found = {
        (name, each): Candidate.of(name, each, every[name], described[name])
        for name, asked in methods.items()
        for each in asked
    }
    at_all_ranks = cost is None or ranks is not None
    found = with_responses(model, found, images, at_all_ranks)
    candidates = {
        name: [found[name, each] for each in asked] for name, asked in methods.items()
    }
    table = LatencyTable.open(latency_table) if cost == "latency" else None
    if ranks is not None:
        for name, rank in ranks.items():
            candidates[name][0].check_rank(rank)
        chosen = {name: (own, int(ranks[name])) for name, (own,) in candidates.items()}
    elif budget is not None:
        total = before.macs
        if table is not None:
            total = table.network_ms(original, input_shape)
        chosen = ranks_within(candidates, budget, cost, total, rank_multiple, table)
    else:
        chosen = {
            name: _cheapest(ways, error, rank_multiple, table)
            for name, ways in candidates.items()
        }
    rows = tuple(
        _considered(*chosen[name], cost, table)
        if name in chosen
        else _left_whole(name, described[name], reasons[name])
        for name in every
    )
    return DecompositionPlan(
        model=model,
        layers=rows,
        macs=before.macs,
        params=before.params,
        ms=total if budget is not None and cost == "latency" else None,
        images=images,
        original=original,
    )


def _samples(methods, images, model) -> Samples | None:
    used = [each for asked in methods.values() for each in asked]
    by_responses = [each for each in used if each in BY_RESPONSES]
    if not by_responses:
        if methods:
            checks.unused("images", images, "a method by responses")
        return None
    if images is None:
        raise ValueError(
            f"`images` must be given for the method {by_responses[0]!r}: sample images "
            "as the model takes them, a few hundred of the training set. "
            "Received: images=None"
        )
    return Samples.of(model, images)


def _cheapest(ways, error, multiple, table) -> tuple[Candidate, int]:
    """The way to decompose a layer that costs least within an error, and its rank."""
    options = [(each, each.rounded(each.least_rank(error), multiple)) for each in ways]
    if len(options) == 1:
        return options[0]
    if table is None:
        return min(options, key=lambda option: option[0].cost(option[1]).macs)
    ms = table.ms([candidate.chain(rank) for candidate, rank in options])
    return options[int(np.argmin(ms))]


def _considered(candidate, rank, cost, table) -> LayerDecomposition:
    whole, after = candidate.chain(None), candidate.chain(rank)
    ms = ms_after = None
    if table is not None:
        ms, ms_after = table.ms([whole, after])
    reason = ""
    if rank is None:
        reason = "the budget has room for it"
    elif cost == "macs" and candidate.cost(rank).macs >= candidate.cost(None).macs:
        reason = "no fewer MACs"
    elif cost == "latency" and ms_after >= ms:
        reason = f"not faster: {ms_after:.3f} ms"
    if reason:
        after, ms_after = whole, ms
    return LayerDecomposition(
        name=candidate.name,
        way=None if reason else "rank",
        groups=candidate.groups,
        rank=rank,
        error=None if rank is None else candidate.error(rank),
        **_counts(whole, after),
        ms=ms,
        ms_after=ms_after,
        reason=reason,
        method=None if rank is None else candidate.method_name,
        full_rank=None if rank is None else candidate.full_rank,
    )


def _left_whole(name, convolution, reason) -> LayerDecomposition:
    chain = (convolution,)
    return LayerDecomposition(
        name=name,
        way=None,
        groups=convolution.groups,
        **_counts(chain, chain),
        reason=reason,
    )


def _counts(before, after) -> dict[str, int]:
    before, after = total_cost(before), total_cost(after)
    return {
        "macs": before.macs,
        "macs_after": after.macs,
        "params": before.params,
        "params_after": after.params,
    }
