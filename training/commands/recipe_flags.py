"""The recipe's fields as flags, for the binaries that train."""

from absl import flags

from keras_roots.training import trainer
from keras_roots.training.commands.flags import FLAGS
from keras_roots.training.data import AUGMENTATIONS


def _enum(choices):
    return lambda name, default, text: flags.DEFINE_enum(name, default, choices, text)


_FLAGS = {
    "epochs": (flags.DEFINE_integer, "Passes over the training images."),
    "learning_rate": (flags.DEFINE_float, "Highest learning rate."),
    "schedule": (_enum(trainer.SCHEDULES), "Learning-rate schedule."),
    "warmup": (flags.DEFINE_float, "Part of the run over which the rate rises."),
    "momentum": (flags.DEFINE_float, "Momentum of SGD."),
    "weight_decay": (flags.DEFINE_float, "Coupled weight decay of the kernels."),
    "label_smoothing": (flags.DEFINE_float, "Label smoothing."),
    "augmentation": (_enum(list(AUGMENTATIONS)), "How training images are varied."),
    "ema": (flags.DEFINE_float, "Momentum of a moving average of the weights."),
    "precision": (_enum(trainer.PRECISIONS), "Arithmetic of the training."),
}


def define() -> tuple[str, ...]:
    """Defines the flags, each unless it is defined already, and returns their names."""
    for name, (define_flag, text) in _FLAGS.items():
        if name not in FLAGS:
            define_flag(name, None, f"{text} By default, the recipe's.")
    return tuple(_FLAGS)


def recipe() -> trainer.Recipe:
    """Returns the recipe of `--model` and `--dataset` with the changes by flags."""
    changes = {name: FLAGS[name].value for name in (*_FLAGS, "batch_size")}
    return trainer.get_recipe(FLAGS.model, FLAGS.dataset, **changes)
