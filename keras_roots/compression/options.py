"""What can take the place of each layer, what that loses and what it costs."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import keras
import numpy as np

from keras_roots.compression.rank_changes import SAMPLES, rank_changes
from keras_roots.convolutions import (
    Convolution,
    Cost,
    Layers,
    Samples,
    find_convolutions,
    input_sides,
    log_loss,
    total_cost,
)
from keras_roots.groups import find_unmixed, groupable, lost_responses, output_changes
from keras_roots.lowrank import (
    BY_RESPONSES,
    Candidate,
    choose_methods,
    with_responses,
)
from keras_roots.profiling import profile
from keras_roots.utils import checks

WAYS = ("groups", "rank")
JUDGES = ("responses", "outputs", "auto")
_MOST = 8  # options of a layer, of either way
_MANY = 64  # ranks of a layer
_TRIED = 4  # of those, by outputs: others lie between
_LEAST = 1e-12  # change or error that counts
_AFFORDABLE = 4e13  # multiply-adds to judge by outputs: minutes on two cores


@dataclasses.dataclass(frozen=True)
class Option:
    """One thing that can take the place of a convolution or Dense layer.

    Attributes:
        way: `"groups"`, `"rank"`, or `None` for the convolution itself.
        value: Its groups, or its rank over all groups.
        method: How it is decomposed, of `lowrank.METHODS`; `None` if it is not.
        error: Part of the variance of its responses that is lost, 0 to 1.
        loss: What the choice goes by; losses of layers add up.
        chain: The convolutions that take its place, one after the other.
    """

    way: str | None
    value: int
    method: str | None
    error: float
    loss: float
    chain: tuple[Convolution, ...]

    @property
    def is_mixed(self) -> bool:
        """Whether a 1x1 follows that mixes its groups."""
        return self.way == "groups" and len(self.chain) > 1

    @property
    def cost(self) -> Cost:
        """Multiply-adds for one input, over all calls, and weights and biases."""
        return total_cost(self.chain)


def layer_options(
    model: keras.Model,
    images,
    *,
    ways: Sequence[str] = WAYS,
    layers: Layers = None,
    groups: int = 64,
    rank_multiple: int = 8,
    many_ranks: bool = False,
    judge: str = "auto",
    seed: int | None = 0,
    input_shape: Sequence | None = None,
) -> dict[str, list[Option]]:
    """Returns the options of each convolution and hidden Dense layer, itself first.

    Args:
        model: As for `Planner`, like all arguments.
        images: Samples of its inputs.
        ways: Of `WAYS`: filter groups for spatial convolutions without any, lower ranks
            for all.
        layers: Which convolutions and Dense layers may change.
        groups: Most groups of a layer.
        rank_multiple: What ranks per group are multiples of.
        many_ranks: Whether to return many ranks of each layer.
        judge: Of `JUDGES`: what options are judged by.
        seed: Seed of the search for channels that belong together.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Returns:
        Options by name of layer, those that save multiply-adds.

    Raises:
        ValueError: An argument is impossible, the model is subclassed or has none of
            the convolutions.
    """
    ways = checks.choices("ways", ways, WAYS)
    groups = checks.integer("groups", groups)
    rank_multiple = checks.integer("rank_multiple", rank_multiple)
    images = Samples.of(model, images)
    every = find_convolutions(model, layers, hidden_dense="rank" in ways)
    macs = profile(model, input_shape).macs
    judge = resolve_judge(judge, macs, len(every), ways)
    sides = input_sides(model, input_shape)
    described = {
        name: Convolution.of(layer, sides[id(layer)]) for name, layer in every.items()
    }
    found = []
    if "groups" in ways:
        how = (groups, judge, seed, input_shape)
        found.append(_group_options(model, every, described, images, *how))
    if "rank" in ways:
        how = (rank_multiple, _MANY if many_ranks else _MOST, judge, seed)
        found.append(_rank_options(model, every, described, images, *how))
    options = {}
    for name, whole in described.items():
        itself = Option(None, whole.groups, None, 0.0, 0.0, (whole,))
        more = [option for each in found for option in each.get(name, ())]
        options[name] = [itself]
        options[name] += [o for o in more if o.cost.macs < itself.cost.macs]
    return options


def resolve_judge(judge: str, macs: int, layers: int, ways: Sequence[str]) -> str:
    """Returns what options are judged by; for `"auto"`, outputs if that takes minutes.

    Args:
        judge: Of `JUDGES`.
        macs: Multiply-adds of the whole network for one sample.
        layers: Convolutions that may change.
        ways: Of `WAYS`.

    Raises:
        ValueError: `judge` is unknown.
    """
    checks.choice("judge", judge, JUDGES)
    if judge != "auto":
        return judge
    tries = {"groups": _MOST, "rank": _TRIED * len(BY_RESPONSES)}
    runs = layers * sum(tries[way] for way in ways) * SAMPLES
    return "outputs" if runs * macs <= _AFFORDABLE else "responses"


def too_few_answers(whole: Convolution, images: Samples) -> str:
    """Returns why a layer's ranks cannot be judged by what it answers to samples.

    A Dense layer on vectors answers once to a sample: to fewer samples than it has
    units, lower ranks answer as well as it does, and to other samples they do not.

    Args:
        whole: The layer.
        images: The samples.

    Returns:
        The reason that plans give; empty if there is none.
    """
    answers = len(images) * sum(math.prod(sides) for sides in whole.outputs)
    if whole.kind != "Dense" or answers >= whole.filters:
        return ""
    return f"{answers} answers to the images, fewer than its {whole.filters} units"


def with_groups(
    whole: Convolution, groups: int, mixed: bool
) -> tuple[Convolution, ...]:
    """Describes a convolution with groups.

    Args:
        whole: The convolution without any.
        groups: Its groups.
        mixed: Whether a 1x1 is added behind it.

    Returns:
        The convolutions that take its place, one after the other.
    """
    grouped = whole.with_groups(groups)
    filters = whole.filters
    if not mixed:
        return (grouped,)
    mix = Convolution(
        (1, 1, filters, filters), 1, (1, 1), "valid", (1, 1), False, grouped.outputs
    )
    return grouped, mix


def _group_options(model, every, described, images, most, judge, seed, input_shape):
    """Filter groups, and the 1x1 behind them where nothing else would mix them."""
    counts = {}
    for name, layer, _ in groupable(model, input_shape).values():
        if name in every:
            common = math.gcd(layer.kernel.shape[2], layer.filters)
            divisors = [n for n in range(2, min(most, common) + 1) if common % n == 0]
            counts[name] = _spread(divisors)
    counts = {name: tries for name, tries in counts.items() if tries}
    if not counts:
        return {}
    unmixed = find_unmixed(
        model, {id(every[name]): name for name in counts}, input_shape
    )
    errors, losses = _group_losses(model, counts, images, judge, seed, unmixed)
    return {
        name: [
            Option(
                "groups",
                count,
                None,
                float(error),
                float(loss),
                with_groups(described[name], count, name in unmixed),
            )
            for count, error, loss in zip(
                tries, errors[name], losses[name], strict=True
            )
        ]
        for name, tries in counts.items()
    }


def _group_losses(model, counts, images, judge, seed, unmixed):
    """Lost parts of responses by name, and the losses that the choice goes by."""
    if judge == "responses":
        errors = lost_responses(model, counts, images, seed)
        return errors, {name: log_loss(error) for name, error in errors.items()}
    changes = output_changes(model, counts, images, seed, mixed=unmixed)
    losses = {
        name: change.mixed if name in unmixed else change.alone
        for name, change in changes.items()
    }
    return {name: change.responses for name, change in changes.items()}, losses


def _rank_options(model, every, described, images, multiple, most, judge, seed):
    """Two layers of fewer filters, by each method that suits a layer."""
    found = {
        (name, each): Candidate.of(name, each, every[name], described[name])
        for name, methods in choose_methods(every, every, BY_RESPONSES, None)[0].items()
        for each in methods
        if not too_few_answers(described[name], images)
    }
    found = with_responses(model, found, images, seed=seed)
    ranks = {}
    for key, candidate in found.items():
        paying = list(filter(candidate.pays, candidate.options(multiple)))
        if paying:
            ranks[key] = _spread(paying, most)
    if judge == "outputs":
        losses = _losses_of_outputs(model, found, ranks, images)
    else:
        losses = {
            key: [float(log_loss(found[key].error(rank))) for rank in own]
            for key, own in ranks.items()
        }
    options = {}
    for key, own in ranks.items():
        made = map(functools.partial(_rank_option, found[key]), own, losses[key])
        options.setdefault(found[key].name, []).extend(made)
    return options


def _losses_of_outputs(model, candidates, ranks, images) -> dict:
    """How much outputs change with each rank: few are tried, others lie between.

    Between two ranks that are tried, the change is taken for a power of what is lost of
    the layer's responses, which all ranks tell.
    """
    tries = {}
    for key, own in ranks.items():
        tried = [(candidates[key], rank) for rank in _spread(own, _TRIED)]
        tries.setdefault(candidates[key].name, []).extend(tried)
    points = {}
    for name, changes in rank_changes(model, tries, images).items():
        for (candidate, rank), change in zip(tries[name], changes, strict=True):
            point = candidate.error(rank), change
            points.setdefault((name, candidate.method_name), []).append(point)
    losses = {}
    for key, own in ranks.items():
        # Errors fall with the rank; interpolation wants them to rise.
        errors, changes = np.log(np.maximum(points[key][::-1], _LEAST)).T
        wanted = [max(candidates[key].error(rank), _LEAST) for rank in own]
        losses[key] = np.exp(np.interp(np.log(wanted), errors, changes)).tolist()
    return losses


def _rank_option(candidate, rank, loss) -> Option:
    error, factors = candidate.error(rank), candidate.factors(rank)
    return Option("rank", rank, candidate.method_name, error, loss, factors)


def _spread(values, most=_MOST) -> list[int]:
    """Some of the values, evenly spread."""
    values = list(values)
    chosen = np.linspace(0, len(values) - 1, min(len(values), most))
    return [values[index] for index in np.unique(chosen.round().astype(int))]
