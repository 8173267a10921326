"""What the flags of keras-roots-compress ask for, as settings of a compression."""

import csv
import dataclasses

from keras_roots.training import networks, stages
from keras_roots.training.commands import recipe_flags
from keras_roots.training.commands.flags import FLAGS
from keras_roots.training.stages import (
    Budget,
    Decomposition,
    FineTuning,
    Force,
    Settings,
    Sparsification,
)
from keras_roots.training.trainer import Recipe

# Flags that only have an effect in a stage that trains.
_NEEDS = {
    "group_lasso": "sparsify",
    "sparsity": "sparsify",
    "distillation": "finetune",
    "shrink_every": "finetune",
}


def settings() -> Settings:
    """Returns what the flags ask for."""
    recipes = _recipes()
    _check_use(recipes)
    return Settings(
        dataset=FLAGS.dataset,
        recipes={name: recipe for name, recipe in recipes.items() if recipe},
        force=_read(Force, "force_"),
        decomposition=dataclasses.replace(
            _read(Decomposition),
            cost=None if FLAGS.cost == "none" else FLAGS.cost,
            macs=_budget(FLAGS.macs),
            ranks=_ranks(FLAGS.ranks),
        ),
        budget=_time(),
        finetuning=dataclasses.replace(_read(FineTuning), distillation=_distillation()),
        sparsification=_read(Sparsification),
        holdout=FLAGS.holdout,
        seed=FLAGS.seed,
        start=_start(),
    )


def _recipes() -> dict[str, Recipe | None]:
    """Recipes of stages; `None` of those that are left out, but for the baseline's."""
    recipe = recipe_flags.recipe()
    third = max(1, recipe.epochs // 3)
    forced = recipe.epochs if FLAGS.from_scratch else third
    if FLAGS.latency is not None and not FLAGS.from_scratch:
        forced = 0
    recipes = {
        "baseline": recipe,
        "force": _after(recipe, "force", forced, recipe.learning_rate),
        "finetune": _after(recipe, "finetune", third, recipe.learning_rate / 5),
        "sparsify": _after(recipe, "sparsify", 0, recipe.learning_rate / 5),
    }
    if networks.has_new_head(FLAGS["from"].value, FLAGS.dataset):
        # All but the head is trained already: the rate is that of fine-tuning.
        rate = FLAGS.learning_rate or recipe.learning_rate / 5
        recipes["baseline"] = dataclasses.replace(recipe, learning_rate=rate)
    elif FLAGS["from"].value or FLAGS.weights or FLAGS.from_scratch:
        del recipes["baseline"]
    return recipes


def _start() -> dict:
    """What the baseline came from, as far as it matters."""
    if not FLAGS["from"].value:
        names = ("model", "root", "topology", "weights", "image_size")
    elif networks.is_application(FLAGS["from"].value):
        names = ("from", "model", "image_size")
    else:
        names = ("from", "model")
    return {name: FLAGS[name].value for name in names}


def _check_use(recipes):
    """Refuses what would have no effect."""
    for name, stage in _NEEDS.items():
        if FLAGS[name].value and recipes[stage] is None:
            raise ValueError(
                f"--{name} needs --{stage}_epochs above 0. "
                f"Received: --{name}={FLAGS[name].value}"
            )
    for name in ("error", "ranks", "method", "macs", "cost", "rank_multiple"):
        if FLAGS.latency is not None and FLAGS[name].present:
            raise ValueError(
                f"Give --latency or --{name}, not both: --latency chooses ranks itself"
            )
    for name in ("quantize", "ways", "threads", "latency_table"):
        if FLAGS.latency is None and FLAGS[name].present:
            raise ValueError(f"--{name} needs --latency")
    if FLAGS.from_scratch and (FLAGS["from"].value or FLAGS.weights):
        raise ValueError("Give --from_scratch, or --from or --weights, not both")
    for stage in ("force", "finetune", "sparsify"):
        if FLAGS["stage"].present and stage in FLAGS.stage and not recipes[stage]:
            raise ValueError(f"--stage={stage} needs --{stage}_epochs above 0")


def _distillation() -> float:
    if FLAGS.distillation is None:
        return 0.0 if FLAGS.latency is None else 1.0
    return FLAGS.distillation


def _time() -> Budget | None:
    """What `--latency` asks for."""
    if FLAGS.latency is None:
        return None
    chosen = {
        "quantize": stages.quantizations(FLAGS.quantize),
        "ways": tuple(FLAGS.ways),
    }
    names = ("latency", "layers", "threads", "latency_table")
    return Budget(**{name: FLAGS[name].value for name in names}, **chosen)


def _after(recipe, stage, epochs, rate):
    """The recipe of a stage after the baseline; `None` to leave it out."""
    given = FLAGS[f"{stage}_epochs"].value
    epochs = epochs if given is None else given
    if epochs == 0:
        return None
    given = FLAGS[f"{stage}_learning_rate"].value
    rate = rate if given is None else given
    return dataclasses.replace(recipe, epochs=epochs, learning_rate=rate)


def _read(kind, prefix=""):
    """Fills a dataclass from the flags of its fields' names."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: FLAGS[prefix + name].value for name in names})


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
