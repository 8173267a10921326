r"""Makes a trained network cheaper: coordinates its filters, decomposes it, fine-tunes.

Force Regularization (Wen et al., ICCV 2017) from baseline to exported file:

  baseline    trains a network, or takes one by --from or --weights
  force       goes on training with forces between the filters: their rank falls
  ranks       prints the ranks before and after; writes ranks.csv, spectra.png
  decompose   replaces convolutions by two cheaper ones where that pays
  finetune    trains the decomposed network
  sparsify    with --sparsify_epochs: removes dead filters, prunes weights, trains
  export      LiteRT files, float32 and int8, and one table of accuracy, multiply-adds,
              parameters, bytes and measured latency at every stage: table.csv

Examples, on the embedded digits (a few minutes on two cores):

  keras-roots-compress --model=root_resnet20 --epochs=6 --force_strength=1e-3 \
      --macs=0.5 --method=responses --output_dir=runs/digits-compressed

the 1x1s of a network with filter groups, which those leave whole:

  keras-roots-compress --model=root_nin --root=8 --weights=cifar10 --dataset=cifar10 \
      --force_layers=pointwise --layers=pointwise --macs=0.7 --method=responses \
      --output_dir=runs/cifar10-pointwise

and from a trained network, on CIFAR-10:

  keras-roots-compress --from=runs/cifar10/model.keras --model=root_resnet20 \
      --dataset=cifar10 --force_strength=3e-5 --output_dir=runs/cifar10-compressed

where --model tells the recipe, and the layers of --force_layers=paper.

With --latency the network gets filter groups or lower ranks, layer by layer, and an
int8 file where that pays, until the file takes that part of the time of the float32
file that it was, measured on this machine; --output_dir then holds model.tflite and
budget.csv, and forces are left out unless --force_epochs is given:

  keras-roots-compress --model=root_nin --weights=cifar10 --dataset=cifar10 \
      --latency=0.25 --finetune_epochs=5 --output_dir=runs/cifar10-quarter

A network of keras.applications gets a head for the data set's classes, which is trained
first:

  keras-roots-compress --from=keras.applications.ResNet50 --epochs=10 \
      --dataset=imagenette/160px-v2 --latency=0.25 --output_dir=runs/photographs-quarter

The same command goes on where it was stopped; --stage=force,decompose runs some stages
alone, on what the others left. The right strength depends on the network: choose it on
images held out of the training split (--holdout), by their accuracy in result.json.
"""

import csv
import dataclasses

import keras
from absl import flags

from keras_roots.lowrank import METHODS
from keras_roots.planning.options import WAYS
from keras_roots.regularizers import force as forces
from keras_roots.training import (
    applications,
    compressing,
    compression,
    compression_report,
    recipe_flags,
    starting,
)
from keras_roots.training import export as exporting
from keras_roots.training import flags as shared
from keras_roots.training.compression_settings import (
    Budget,
    Decomposition,
    FineTuning,
    Force,
    Settings,
    Sparsification,
)

STAGES = ("baseline", "force", "ranks", "decompose", "finetune", "sparsify", "export")
_SHARED_FLAGS = ("from", "threads", *shared.TRAINING)


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    own = (
        flags.DEFINE_list("stage", list(STAGES), f"Stages to run, of {STAGES}."),
        flags.DEFINE_bool(
            "from_scratch",
            False,
            "Whether forces act from random weights on, with no baseline trained.",
        ),
        flags.DEFINE_float(
            "force_strength",
            1e-3,
            "Strength of the force, lambda_s; negative to drive filters apart.",
        ),
        flags.DEFINE_enum("force_norm", "l2", forces.NORMS, "Norm of the force."),
        flags.DEFINE_bool(
            "force_normalize", False, "Mean over the filters in place of the sum."
        ),
        flags.DEFINE_enum(
            "force_scale", "norm", forces.SCALES, "Times or over the filter's length."
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
            "layers",
            "all",
            "Layers to make cheaper: all, pointwise (1x1s), spatial, or a regular "
            "expression for the names.",
        ),
        flags.DEFINE_string(
            "latency_table", None, "CSV file of measured times of layers."
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
    own += (
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
    names = tuple(flag.name for flag in own)
    return (*_SHARED_FLAGS, *recipe_flags.define(), *names)


def settings() -> Settings:
    """Returns what the flags ask for."""
    values = shared.FLAGS
    recipe = recipe_flags.recipe()
    third = max(1, recipe.epochs // 3)
    forced = recipe.epochs if values.from_scratch else third
    if values.latency is not None and not values.from_scratch:
        forced = 0
    recipes = {
        "baseline": recipe,
        "force": _after(recipe, "force", forced, recipe.learning_rate),
        "finetune": _after(recipe, "finetune", third, recipe.learning_rate / 5),
        "sparsify": _after(recipe, "sparsify", 0, recipe.learning_rate / 5),
    }
    if applications.has_new_head(values["from"].value, values.dataset):
        # All but the head is trained already: the rate is that of fine-tuning.
        rate = values.learning_rate or recipe.learning_rate / 5
        recipes["baseline"] = dataclasses.replace(recipe, learning_rate=rate)
    elif values["from"].value or values.weights or values.from_scratch:
        del recipes["baseline"]
    _check_use(recipes)
    start = {"from": values["from"].value, "model": values.model}
    if applications.is_application(values["from"].value):
        start["image_size"] = values.image_size
    if not values["from"].value:
        names = ("model", "root", "topology", "weights", "image_size")
        start = {name: values[name].value for name in names}
    return Settings(
        dataset=values.dataset,
        recipes={name: recipe for name, recipe in recipes.items() if recipe},
        force=_read(Force, "force_"),
        decomposition=dataclasses.replace(
            _read(Decomposition),
            cost=None if values.cost == "none" else values.cost,
            macs=_budget(values.macs),
            ranks=_ranks(values.ranks),
        ),
        budget=_time(),
        finetuning=dataclasses.replace(_read(FineTuning), distillation=_distillation()),
        sparsification=_read(Sparsification),
        holdout=values.holdout,
        seed=values.seed,
        start=start,
    )


def main(argv) -> None:
    """Runs the stages that the flags name."""
    del argv
    exporting.quiet()
    values = shared.FLAGS
    if not values.output_dir:
        raise ValueError("--output_dir is required: a folder for what the stages write")
    unknown = sorted(set(values.stage) - set(STAGES))
    if unknown:
        raise ValueError(
            f"--stage must be of {', '.join(STAGES)}, separated by commas. "
            f"Received: {', '.join(unknown)}"
        )
    run_settings = settings()
    work = compression.Compression(
        run_settings,
        values.output_dir,
        _start,
        data_dir=values.data_dir,
        distribution=values.distribution,
    )
    for stage in (name for name in STAGES if name in values.stage):
        if stage == "ranks":
            for name, analysis in compression_report.ranks(work).items():
                print(f"\nranks, {name}\n{analysis}\n")
        elif stage == "export":
            print(f"\n{_export(work)}")
        else:
            work.run([stage])


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())


# Flags that only have an effect in a stage that trains.
_NEEDS = {
    "group_lasso": "sparsify",
    "sparsity": "sparsify",
    "distillation": "finetune",
    "shrink_every": "finetune",
}


def _check_use(recipes):
    """Refuses what would have no effect."""
    values = shared.FLAGS
    for name, stage in _NEEDS.items():
        if values[name].value and recipes[stage] is None:
            raise ValueError(
                f"--{name} needs --{stage}_epochs above 0. "
                f"Received: --{name}={values[name].value}"
            )
    for name in ("error", "ranks", "method", "macs", "cost", "rank_multiple"):
        if values.latency is not None and values[name].present:
            raise ValueError(
                f"Give --latency or --{name}, not both: --latency chooses ranks itself"
            )
    for name in ("quantize", "ways", "threads", "latency_table"):
        if values.latency is None and values[name].present:
            raise ValueError(f"--{name} needs --latency")
    if values.from_scratch and (values["from"].value or values.weights):
        raise ValueError("Give --from_scratch, or --from or --weights, not both")
    for stage in ("force", "finetune", "sparsify"):
        if values["stage"].present and stage in values.stage and not recipes[stage]:
            raise ValueError(f"--stage={stage} needs --{stage}_epochs above 0")


def _export(work) -> str:
    if work.settings.budget is not None:
        return str(compressing.deliver(work))
    return compression_report.render(compression_report.export(work))


def _distillation() -> float:
    values = shared.FLAGS
    if values.distillation is None:
        return 0.0 if values.latency is None else 1.0
    return values.distillation


def _time() -> Budget | None:
    """What `--latency` asks for."""
    values = shared.FLAGS
    if values.latency is None:
        return None
    chosen = {
        "quantize": compressing.quantizations(values.quantize),
        "ways": tuple(values.ways),
    }
    names = ("latency", "layers", "threads", "latency_table")
    return Budget(**{name: values[name].value for name in names}, **chosen)


def _after(recipe, stage, epochs, rate):
    """The recipe of a stage after the baseline; `None` to leave it out."""
    values = shared.FLAGS
    given = values[f"{stage}_epochs"].value
    epochs = epochs if given is None else given
    if epochs == 0:
        return None
    given = values[f"{stage}_learning_rate"].value
    rate = rate if given is None else given
    return dataclasses.replace(recipe, epochs=epochs, learning_rate=rate)


def _read(kind, prefix=""):
    """Fills a dataclass from the flags of its fields' names."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: shared.FLAGS[prefix + name].value for name in names})


def _budget(macs):
    """Multiply-adds are an integer unless they are a part."""
    return int(macs) if macs is not None and macs >= 1 else macs


def _ranks(text) -> dict[str, int] | None:
    """Reads `--ranks`."""
    if text is None:
        return None
    try:
        if text.endswith(".csv"):
            with open(text, newline="") as file:
                rows = list(csv.DictReader(file))
            return {
                row["name"]: int(row["rank"])
                for row in rows
                if row["decomposed"] == "True"
            }
        pairs = (pair.rsplit("=", 1) for pair in text.split(","))
        return {name.strip(): int(rank) for name, rank in pairs}
    except (ValueError, KeyError) as error:
        raise ValueError(
            "--ranks must be layer=rank,layer=rank or the plan.csv of a compression. "
            f"Received: {text!r}"
        ) from error


def _start(dataset) -> keras.Model:
    values = shared.FLAGS
    return starting.start_model(
        dataset,
        values["from"].value,
        name=values.model,
        root=values.root,
        topology=values.topology,
        weights=values.weights,
        image_size=values.image_size,
    )
