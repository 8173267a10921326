"""Training recipes as data: one per model and data set.

Rates are for the batch size beside them. Commands that train take the recipe of their
model and data set, and change any option by the flag of the same name.
"""

import dataclasses

from keras_roots.training.data import AUGMENTATIONS, FLIPS, get_augmentation
from keras_roots.training.options import REQUIRED, changes_of, option, options
from keras_roots.utils import checks

SCHEDULES = ("one_cycle", "step")
CLASS_WEIGHTS = ("balanced",)
PRECISIONS = ("float32", "conv_bfloat16", "mixed_bfloat16")


@options
class Recipe:
    """How a network is trained."""

    epochs: int = option(REQUIRED, "Passes over the training images.", least=0)
    batch_size: int = option(REQUIRED, "Images per step, over all devices.", least=1)
    learning_rate: float = option(REQUIRED, "Highest learning rate.")
    schedule: str = option(
        "one_cycle",
        "Learning-rate schedule: one_cycle (up linearly over the warm-up, then down "
        "linearly to zero) or step (up over the warm-up, then a tenth at each "
        "milestone).",
        choices=SCHEDULES,
    )
    warmup: float = option(
        0.25, "Part of the run, 0 to 1, over which the rate rises.", least=0
    )
    # Parts of the run, 0 to 1, after which the step schedule drops.
    milestones: tuple[float, ...] = (0.5, 0.75)
    momentum: float = option(0.9, "Momentum of SGD.", least=0)
    # Whether the momentum is Nesterov's.
    nesterov: bool = True
    weight_decay: float = option(
        5e-4,
        "Coupled decay of convolution and dense kernels: their L2 penalty is half of "
        "it.",
        least=0,
    )
    # Names of layers whose decay is a multiple of `weight_decay`.
    decay_multipliers: tuple[tuple[str, float], ...] = ()
    label_smoothing: float = option(
        0.0, "Probability spread over all classes, 0 to 1.", least=0
    )
    augmentation: str = option(
        "none", "How training images are varied.", choices=tuple(AUGMENTATIONS)
    )
    flip: str = option(
        "random",
        "Which images an augmentation flips: random (by chance, anew in every epoch) "
        "or alternating (a random half in the first epoch, in every later one those "
        "that were not flipped in the epoch before).",
        choices=FLIPS,
    )
    initial_size: int | None = option(
        None,
        "Height and width of the training images at the start of the run, in pixels, "
        "for a network that takes any size; not given, that of the network.",
        least=1,
    )
    initial_part: float = option(
        0.6, "Part of the epochs, 0 to 1, with images of the initial size."
    )
    ema: float = option(
        0.0,
        "Momentum of the moving average of the weights that is evaluated and saved, 0 "
        "for none.",
        least=0,
    )
    precision: str = option(
        "float32",
        "Arithmetic of the training: float32, conv_bfloat16 (the convolutions alone) "
        "or mixed_bfloat16, the fastest on a CPU with bfloat16 instructions.",
        choices=PRECISIONS,
    )
    frozen_epochs: int | None = option(
        None,
        "First epochs, in which only the classifier is trained: the last layer with a "
        "kernel, a new one perhaps.",
        least=1,
    )
    body_rate: float | None = option(
        None,
        "Learning rate of all layers but the classifier, as a part of the learning "
        "rate, 0 to 1.",
        least=0,
    )
    class_weight: str | None = option(
        None,
        "Weight of an image in the loss: balanced (all classes weigh the same, however "
        "many images they have). By default all images do.",
        choices=CLASS_WEIGHTS,
    )
    patience: int | None = option(
        None,
        "Epochs without a better one, by the images held out, after which training "
        "ends; the result has the weights of the best epoch.",
        least=1,
    )
    # Weight of the losses of auxiliary heads.
    auxiliary_weight: float = 0.3

    def __post_init__(self):
        checks.integer("epochs", self.epochs)
        checks.number("learning_rate", self.learning_rate, above=0)
        for name in ("warmup", "label_smoothing", "momentum", "ema"):
            checks.part(name, getattr(self, name), zero=True)
        checks.part("initial_part", self.initial_part)
        if self.body_rate is not None:
            checks.part("body_rate", self.body_rate, zero=True)
        if self.frozen_epochs is not None and self.frozen_epochs > self.epochs:
            raise ValueError(
                f"`frozen_epochs` must be at most the {self.epochs} epochs. "
                f"Received: frozen_epochs={self.frozen_epochs}"
            )
        if self.initial_size is not None:
            checks.integer("initial_size", self.initial_size)
        get_augmentation(self.augmentation, self.flip)

    def phases(self) -> list[tuple[range, int | None]]:
        """Returns the epochs of each part of the run, and the size of images there.

        The size is in pixels, `None` for the network's own. The last epoch is of the
        network's own.
        """
        if self.initial_size is None:
            return [(range(self.epochs), None)]
        change = min(round(self.initial_part * self.epochs), self.epochs - 1)
        return [
            (range(change), self.initial_size),
            (range(change, self.epochs), None),
        ]


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
    (None, "cifar10-sample"): _FEW_PHOTOGRAPHS,
    (None, None): dataclasses.replace(_FEW_PHOTOGRAPHS, augmentation="none"),
}


def get_recipe(model: str, dataset: str, **changes) -> Recipe:
    """Returns the recipe of a model and data set, with some fields changed.

    The augmentation is that of the data set: images of one that has no row, a folder or
    arrays for instance, are not varied unless `changes` ask for it, since mirroring
    might turn an image into one of another class.

    Args:
        model: Registry name of the model.
        dataset: Name of the data set, or the path of one.
        **changes: Fields to change; `None` leaves the recipe's value.

    Raises:
        ValueError: A field has an impossible value.
    """
    keys = ((model, dataset), (model, None), (None, dataset), (None, None))
    key = next(key for key in keys if key in RECIPES)
    own = {}
    if key[1] is None:
        of_data = RECIPES.get((None, dataset), RECIPES[None, None])
        own["augmentation"] = of_data.augmentation
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(RECIPES[key], **(own | given))


# The options of a recipe that commands change.
Changes = changes_of(Recipe, "the recipe's")
