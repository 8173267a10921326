"""Training of a given model by a recipe, resumably."""

from keras_roots.training.trainer.callbacks import Log, StopAtNaN
from keras_roots.training.trainer.cautions import warn_of_chance, warn_of_few
from keras_roots.training.trainer.checkpoints import (
    LAST,
    load_checkpoint,
    log_text,
    read_log,
    save_checkpoint,
)
from keras_roots.training.trainer.distillation import statistics_images, with_teacher
from keras_roots.training.trainer.distiller import distiller
from keras_roots.training.trainer.finetuner import finetuner
from keras_roots.training.trainer.fit import (
    check_layout,
    check_patience,
    fit,
    seconds,
    set_seed,
)
from keras_roots.training.trainer.prepare import (
    check_outputs,
    compile_model,
    copy_weights,
    logits,
    mean_colour,
    prepare,
)
from keras_roots.training.trainer.recipes import (
    PRECISIONS,
    SCHEDULES,
    Changes,
    Recipe,
    get_recipe,
)
from keras_roots.training.trainer.schedules import make_schedule

__all__ = [
    "Changes",
    "LAST",
    "Log",
    "PRECISIONS",
    "Recipe",
    "SCHEDULES",
    "StopAtNaN",
    "make_schedule",
    "mean_colour",
    "check_layout",
    "check_patience",
    "check_outputs",
    "compile_model",
    "copy_weights",
    "distiller",
    "finetuner",
    "fit",
    "get_recipe",
    "load_checkpoint",
    "log_text",
    "logits",
    "prepare",
    "read_log",
    "save_checkpoint",
    "seconds",
    "set_seed",
    "statistics_images",
    "warn_of_chance",
    "warn_of_few",
    "with_teacher",
]
