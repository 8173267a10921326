"""What decides what the stages of a compression compute, and its checks."""

import dataclasses
import re
from collections.abc import Callable

from keras_roots import lowrank
from keras_roots.compression import WAYS
from keras_roots.graph import KINDS
from keras_roots.regularizers import PAPER_LAYERS, paper_layers
from keras_roots.training.trainer import Recipe


@dataclasses.dataclass(frozen=True)
class Force:
    """How filters are coordinated.

    Attributes:
        strength: As for `ForceRegularizer`; negative to drive filters apart.
        norm: As for `ForceRegularizer`.
        normalize: As for `ForceRegularizer`.
        scale: As for `ForceRegularizer`.
        relative: Whether the strength is relative to the data gradient at the start of
            the stage, as for `relative_force`.
        layers: `"paper"` for the paper's choice, or as for `Decomposition`.
    """

    strength: float = 1e-3
    norm: str = "l2"
    normalize: bool = False
    scale: str = "norm"
    relative: bool = False
    layers: str = "all"


@dataclasses.dataclass(frozen=True)
class Decomposition:
    """How the network is decomposed; the arguments of `plan_decomposition`.

    Attributes:
        layers: `"all"`, `"pointwise"`, `"spatial"`, or a regular expression for the
            names of convolutions.
        error: Bound on the relative squared error of each layer.
        ranks: Ranks by name of layer, in place of `error`.
        method: Name of the method.
        macs: Multiply-adds to reach, in place of `error`: a number, or a part.
        cost: `"macs"`, `"latency"` or `None`.
        rank_multiple: What ranks are rounded up to.
        recalibration_images: Training images on which BatchNorm's statistics are
            estimated anew, 0 to leave them; also the sample images of the method
            `"responses"`.
    """

    layers: str = "all"
    error: float = 0.05
    ranks: dict[str, int] | None = None
    method: str = "pca"
    macs: float | None = None
    cost: str | None = "macs"
    rank_multiple: int = 1
    recalibration_images: int = 1000


@dataclasses.dataclass(frozen=True)
class Budget:
    """Time that the exported network may take, in place of `Decomposition`'s choice.

    Attributes:
        latency: Part of the time of the baseline's float32 LiteRT file.
        quantize: Quantisations to choose among, `"none"` and `"int8"`.
        ways: What layers may get: `"groups"`, `"rank"`.
        layers: Layers that may change, as for `Decomposition`.
        threads: Threads that the time is of.
        latency_table: File of measured times of layers; `None` to keep none.
    """

    latency: float
    quantize: tuple[str, ...] = ("none", "int8")
    ways: tuple[str, ...] = WAYS
    layers: str = "all"
    threads: int = 1
    latency_table: str | None = None


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """What goes with the training of the decomposed network.

    Attributes:
        distillation: Weight of the distance to the outputs of the network before its
            decomposition, 0 for none.
        temperature: Temperature of the distillation.
        shrink_every: Epochs after which the decomposed layers are analysed again and
            shrunk, 0 for never.
        shrink_error: Bound on the relative squared error of each such step.
    """

    distillation: float = 0.0
    temperature: float = 2.0
    shrink_every: int = 0
    shrink_error: float = 0.02


@dataclasses.dataclass(frozen=True)
class Sparsification:
    """How the small network is made sparse as well (the paper's section 5.4).

    Attributes:
        group_lasso: Strength of a group lasso over filters in a first training, after
            which dead filters are removed; 0 for none.
        threshold: As for `remove_dead_filters`.
        sparsity: Part of the weights that is pruned, by magnitude, before the last
            training.
    """

    group_lasso: float = 0.0
    threshold: float = 0.02
    sparsity: float = 0.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that decides what the stages compute.

    Attributes:
        dataset: Data set, as for `open_dataset`.
        recipes: Recipe of each stage that trains; no entry leaves the stage out.
        force: How filters are coordinated.
        decomposition: How the network is decomposed.
        budget: Time to meet, by groups, ranks and quantisation; of `decomposition` only
            the number of images then counts.
        finetuning: What goes with the training after it.
        sparsification: How it is made sparse at the end.
        holdout: Training images held out for validation.
        seed: Seed of everything random.
        start: What the baseline is: the file or the constructor's arguments that it
            came from.
    """

    dataset: str
    recipes: dict[str, Recipe]
    force: Force = Force()
    decomposition: Decomposition = Decomposition()
    budget: Budget | None = None
    finetuning: FineTuning = FineTuning()
    sparsification: Sparsification = Sparsification()
    holdout: int = 0
    seed: int = 0
    start: dict = dataclasses.field(default_factory=dict)


def check(settings: Settings) -> None:
    """Checks what a stage would find wrong only hours later.

    Args:
        settings: The settings.

    Raises:
        ValueError: One of them is impossible.
    """
    how = settings.decomposition
    lowrank.check_arguments(
        how.error, how.method, how.ranks, how.cost, how.macs, how.rank_multiple
    )
    if how.method == "responses" and not how.recalibration_images:
        raise ValueError(
            "`method` 'responses' needs sample images. Received: recalibration_images=0"
        )
    if settings.budget is not None:
        _check_budget(settings.budget, how.recalibration_images)
    chosen_layers(how.layers, None)
    chosen_layers(settings.force.layers, settings.start.get("model"))
    lowrank.check_error(settings.finetuning.shrink_error)
    ema = any(recipe.ema for recipe in settings.recipes.values())
    if settings.finetuning.shrink_every and ema:
        raise ValueError(
            "`shrink_every` cannot be combined with a moving average of the weights. "
            f"Received: shrink_every={settings.finetuning.shrink_every} and ema"
        )
    for name, value in (
        ("threshold", settings.sparsification.threshold),
        ("sparsity", settings.sparsification.sparsity),
    ):
        if not 0 <= value < 1:
            raise ValueError(
                f"`{name}` must be at least 0 and below 1. Received: {name}={value}"
            )


def _check_budget(budget, images):
    if not 0 < budget.latency < 1:
        raise ValueError(
            "`latency` must be a part of the network's own time, between 0 and 1. "
            f"Received: latency={budget.latency}"
        )
    for name, known in (("quantize", ("none", "int8")), ("ways", WAYS)):
        value = getattr(budget, name)
        if not value or set(value) - set(known):
            raise ValueError(f"`{name}` must be of {known}. Received: {name}={value}")
    if not images:
        raise ValueError(
            "`latency` needs sample images. Received: recalibration_images=0"
        )
    chosen_layers(budget.layers, None)


def chosen_layers(layers: str, family: str | None) -> Callable | None:
    """Returns the function of a layer that `Force.layers` stands for.

    Args:
        layers: `"paper"`, `"all"`, `"pointwise"`, `"spatial"` or a regular expression
            for whole names.
        family: Registry name of the network, if it is one of the zoo's.

    Raises:
        ValueError: The paper does not treat the network, or it is no expression.
    """
    if layers == "all":
        return None
    if layers in KINDS:
        return KINDS[layers]
    if layers == "paper":
        if family not in PAPER_LAYERS:
            raise ValueError(
                "--force_layers=paper is for the paper's networks, "
                f"{', '.join(sorted(PAPER_LAYERS))}. Received: {family}; "
                "give --force_layers=all or a regular expression"
            )
        return paper_layers(family)
    try:
        pattern = re.compile(layers)
    except re.error as error:
        raise ValueError(
            f"Layers must be all, {', '.join(KINDS)}, a regular expression, or for "
            "forces paper. "
            f"Received: {layers!r}, which fails with: {error}"
        ) from error
    return lambda layer: pattern.fullmatch(layer.name) is not None
