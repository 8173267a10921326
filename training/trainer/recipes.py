"""Training recipes as data: one per model and data set.

Rates are for the batch size beside them. `keras-roots-train` takes the recipe of its
`--model` and `--dataset`, and every field may be changed by the flag of the same name.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step, over all devices.
        learning_rate: Highest learning rate.
        schedule: `"one_cycle"` (up linearly over `warmup`, then down linearly to zero)
            or `"step"` (up over `warmup`, then a tenth at each of `milestones`).
        warmup: Part of the run, 0 to 1, over which the rate rises.
        milestones: Parts of the run, 0 to 1, after which the step schedule drops.
        momentum: Momentum of SGD.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: Coupled decay of convolution and dense kernels: their L2 penalty
            is half of it.
        decay_multipliers: Layer names whose decay is a multiple of `weight_decay`.
        label_smoothing: Probability spread over all classes, 0 to 1.
        augmentation: A key of `keras_roots.training.augment.AUGMENTATIONS`.
        ema: Momentum of the moving average of the weights that is evaluated and saved,
            0 for none.
        precision: `"float32"`, `"conv_bfloat16"` (the convolutions alone) or
            `"mixed_bfloat16"`, the fastest on a CPU with bfloat16 instructions.
        auxiliary_weight: Weight of the losses of auxiliary heads.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str = "one_cycle"
    warmup: float = 0.25
    milestones: tuple[float, ...] = (0.5, 0.75)
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    decay_multipliers: tuple[tuple[str, float], ...] = ()
    label_smoothing: float = 0.0
    augmentation: str = "none"
    ema: float = 0.0
    precision: str = "float32"
    auxiliary_weight: float = 0.3


SCHEDULES = ("one_cycle", "step")
PRECISIONS = ("float32", "conv_bfloat16", "mixed_bfloat16")

_CIFAR = Recipe(60, 128, 0.1, augmentation="pad_crop_mirror")
_DIGITS = Recipe(12, 32, 0.05, augmentation="pad_crop")
_PHOTOGRAPHS = Recipe(
    90,
    256,
    0.1,
    schedule="step",
    warmup=0.05,
    milestones=(1 / 3, 2 / 3, 8 / 9),
    weight_decay=1e-4,
    augmentation="crop_mirror",
)
_FEW_PHOTOGRAPHS = dataclasses.replace(
    _PHOTOGRAPHS, epochs=80, batch_size=64, learning_rate=0.05, schedule="one_cycle"
)

# (model, data set); None stands for every other one. A row of a model comes before one
# of a data set.
RECIPES = {
    ("root_nin", "cifar10"): _CIFAR,
    # Wen et al. train 64,000 steps at batch 128: 0.1, a tenth at 32k and 48k.
    ("root_resnet20", "cifar10"): dataclasses.replace(
        _CIFAR, epochs=164, schedule="step", warmup=0.0, weight_decay=1e-4
    ),
    # Caffe's cifar10_full: a tenth at 200k and 220k of 240k steps, no augmentation.
    ("root_convnet", "cifar10"): Recipe(
        480,
        100,
        0.001,
        schedule="step",
        warmup=0.0,
        milestones=(5 / 6, 11 / 12),
        nesterov=False,
        weight_decay=0.004,
        decay_multipliers=(("predictions", 250.0),),
    ),
    (None, "digits"): _DIGITS,
    # Pixels that are not divided by their deviation, networks without BatchNorm.
    ("root_convnet", "digits"): dataclasses.replace(_DIGITS, learning_rate=0.001),
    ("root_convnet", None): dataclasses.replace(_CIFAR, learning_rate=0.001),
    ("root_alexnet", None): dataclasses.replace(_FEW_PHOTOGRAPHS, learning_rate=0.01),
    ("root_resnet200", "imagenet2012"): dataclasses.replace(
        _PHOTOGRAPHS, augmentation="scale_aspect_colour"
    ),
    ("root_alexnet", "imagenet2012"): dataclasses.replace(
        _PHOTOGRAPHS, learning_rate=0.01, weight_decay=5e-4
    ),
    (None, "imagenet2012"): _PHOTOGRAPHS,
    (None, "imagenette/160px-v2"): _FEW_PHOTOGRAPHS,
    (None, "cifar10"): _CIFAR,
    (None, None): _FEW_PHOTOGRAPHS,
}


def get_recipe(model: str, dataset: str, **changes) -> Recipe:
    """Returns the recipe of a model and data set, with some fields changed.

    Args:
        model: Registry name of the model.
        dataset: Name of the data set, or the path of one.
        **changes: Fields to change; `None` leaves the recipe's value.

    Raises:
        ValueError: A field has an impossible value.
    """
    keys = ((model, dataset), (model, None), (None, dataset), (None, None))
    key = next(key for key in keys if key in RECIPES)
    given = {name: value for name, value in changes.items() if value is not None}
    recipe = dataclasses.replace(RECIPES[key], **given)
    _check(recipe)
    return recipe


def _check(recipe):
    positive = ("epochs", "batch_size", "learning_rate")
    fractions = ("warmup", "label_smoothing", "momentum", "ema")
    for name in positive:
        if not getattr(recipe, name) > 0:
            raise ValueError(
                f"`{name}` must be positive. Received: {name}={getattr(recipe, name)}"
            )
    for name in fractions:
        if not 0 <= getattr(recipe, name) < 1:
            raise ValueError(
                f"`{name}` must be at least 0 and less than 1. "
                f"Received: {name}={getattr(recipe, name)}"
            )
    if recipe.weight_decay < 0:
        raise ValueError(
            "`weight_decay` must not be negative. "
            f"Received: weight_decay={recipe.weight_decay}"
        )
    for name, choices in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
        if getattr(recipe, name) not in choices:
            raise ValueError(
                f"`{name}` must be one of {choices}. "
                f"Received: {name}={getattr(recipe, name)!r}"
            )
