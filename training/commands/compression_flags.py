"""Flags of keras-roots-compress, beside those that all commands share."""

from absl import flags

from keras_roots import regularizers
from keras_roots.compression import WAYS
from keras_roots.lowrank import METHODS
from keras_roots.training.commands import flags as shared
from keras_roots.training.commands import recipe_flags

STAGES = ("baseline", "force", "ranks", "decompose", "finetune", "sparsify", "export")
_SHARED_FLAGS = ("from", "threads", *shared.TRAINING)


def define() -> tuple[str, ...]:
    """Defines the flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    own = (
        *_define_stages(),
        *_define_force(),
        *_define_decomposition(),
        *_define_budget(),
        *_define_finetuning(),
        *_define_sparsification(),
    )
    names = tuple(flag.name for flag in own)
    return (*_SHARED_FLAGS, *recipe_flags.define(), *names)


def _define_stages():
    return (
        flags.DEFINE_list("stage", list(STAGES), f"Stages to run, of {STAGES}."),
        flags.DEFINE_bool(
            "from_scratch",
            False,
            "Whether forces act from random weights on, with no baseline trained.",
        ),
    )


def _define_force():
    return (
        flags.DEFINE_float(
            "force_strength",
            1e-3,
            "Strength of the force, lambda_s; negative to drive filters apart.",
        ),
        flags.DEFINE_enum("force_norm", "l2", regularizers.NORMS, "Norm of the force."),
        flags.DEFINE_bool(
            "force_normalize", False, "Mean over the filters in place of the sum."
        ),
        flags.DEFINE_enum(
            "force_scale",
            "norm",
            regularizers.SCALES,
            "Times or over the filter's length.",
        ),
        flags.DEFINE_bool(
            "force_relative",
            False,
            "Strength relative to the data gradient, layer by layer.",
        ),
        flags.DEFINE_string(
            "force_layers",
            "all",
            "paper (the paper's choice), all, pointwise (1x1s), spatial, or a regular "
            "expression for the names.",
        ),
        flags.DEFINE_integer(
            "force_epochs",
            None,
            "Epochs with forces, 0 for none; by default a third, with --latency none.",
            lower_bound=0,
        ),
        flags.DEFINE_float(
            "force_learning_rate", None, "Highest rate; by default the baseline's."
        ),
    )


def _define_decomposition():
    return (
        flags.DEFINE_string(
            "layers",
            "all",
            "Layers to make cheaper: all, pointwise (1x1s), spatial, or a regular "
            "expression for the names.",
        ),
        flags.DEFINE_float("error", 0.05, "Relative squared error of each layer."),
        flags.DEFINE_string(
            "ranks",
            None,
            "In place of --error: ranks of layers, conv2=12,conv3=20, or the plan.csv "
            "of another compression.",
        ),
        flags.DEFINE_enum("method", "pca", list(METHODS), "How layers are decomposed."),
        flags.DEFINE_float(
            "macs",
            None,
            "In place of --error: multiply-adds to reach, or below 1 a part of them.",
        ),
        flags.DEFINE_enum(
            "cost",
            "macs",
            ["macs", "latency", "none"],
            "What decomposing a layer must save: counted, or measured on this machine.",
        ),
        flags.DEFINE_integer(
            "rank_multiple", 1, "Rounds ranks up to multiples.", lower_bound=1
        ),
        flags.DEFINE_integer(
            "recalibration_images",
            1000,
            "Training images to estimate BatchNorm's statistics anew, 0 for none.",
            lower_bound=0,
        ),
    )


def _define_budget():
    return (
        flags.DEFINE_float(
            "latency",
            None,
            "In place of --error: part of the float32 file's time that the network may "
            "take, by filter groups, ranks and int8.",
        ),
        flags.DEFINE_enum(
            "quantize",
            "auto",
            ["auto", "none", "int8"],
            "Files that --latency chooses among.",
        ),
        flags.DEFINE_list(
            "ways", list(WAYS), f"What --latency gives layers, of {', '.join(WAYS)}."
        ),
        flags.DEFINE_string(
            "latency_table", None, "CSV file of measured times of layers."
        ),
    )


def _define_finetuning():
    return (
        flags.DEFINE_integer(
            "finetune_epochs",
            None,
            "Epochs after decomposing; by default a third.",
            lower_bound=0,
        ),
        flags.DEFINE_float(
            "finetune_learning_rate",
            None,
            "Highest rate; by default a fifth of the baseline's.",
        ),
        flags.DEFINE_float(
            "distillation",
            None,
            "Weight of the distance to the original's outputs; by default 0, with "
            "--latency 1.",
            lower_bound=0,
        ),
        flags.DEFINE_float(
            "temperature", 2.0, "Temperature of the distillation.", lower_bound=0.1
        ),
        flags.DEFINE_integer(
            "shrink_every",
            0,
            "Epochs of fine-tuning after which layers are shrunk further, 0: never.",
            lower_bound=0,
        ),
        flags.DEFINE_float("shrink_error", 0.02, "Relative squared error of that."),
    )


def _define_sparsification():
    return (
        flags.DEFINE_integer(
            "sparsify_epochs",
            0,
            "Epochs of each training of that stage.",
            lower_bound=0,
        ),
        flags.DEFINE_float(
            "sparsify_learning_rate",
            None,
            "Highest rate; by default a fifth of the baseline's.",
        ),
        flags.DEFINE_float(
            "group_lasso",
            0.0,
            "Strength of a group lasso over filters, 0 to leave that training out.",
            lower_bound=0,
        ),
        flags.DEFINE_float(
            "threshold", 0.02, "Norm of dead filters over the layer's largest."
        ),
        flags.DEFINE_float("sparsity", 0.0, "Part of the weights to prune."),
    )
