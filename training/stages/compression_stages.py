"""What the stages of a compression do to the network that the one before them left."""

import dataclasses
import itertools
from collections.abc import Callable

import keras
import numpy as np

from keras_roots import convolutions, lowrank, sparsity, utils
from keras_roots.regularizers import (
    ForceRegularizer,
    GroupLasso,
    relative_force,
    with_regularizer,
)
from keras_roots.training import data, runs, trainer
from keras_roots.training.data import get_augmentation
from keras_roots.training.stages import meet_budget
from keras_roots.training.stages.compression_settings import chosen_layers
from keras_roots.utils import load_model

_GRADIENT_BATCHES = 10  # for the strength relative to the gradient


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage that leaves a model, as data.

    Attributes:
        fields: Fields of the settings that it depends on, beside those of the stages
            before it.
        run: Function of the `Compression`, the model of the stage before and the
            stage's existing folder to the model that it leaves, and further entries of
            its `result.json`.
    """

    fields: tuple[str, ...]
    run: Callable


def _baseline(work, model, folder):
    if "baseline" not in work.settings.recipes:
        return model, {}
    work.fit("baseline", model, folder)
    return model, {"seconds": trainer.seconds(folder)}


def _force(work, model, folder):
    force = work.settings.force
    arguments = {name: getattr(force, name) for name in ("norm", "normalize", "scale")}
    chosen = chosen_layers(force.layers, work.settings.start.get("model"))
    recipe = work.settings.recipes["force"]

    def adapt(trainee):
        regularizer = ForceRegularizer(force.strength, **arguments)
        if force.relative:
            regularizer = _relative(work, trainee, recipe, arguments)
        return with_regularizer(trainee, regularizer, chosen)

    work.fit("force", model, folder, adapt=adapt)
    return model, {"seconds": trainer.seconds(folder)}


def _relative(work, trainee, recipe, arguments):
    batches = data.train_batches(
        work.dataset.train,
        augmentation=get_augmentation("none"),
        batch_size=recipe.batch_size,
        image_size=trainee.input_shape[1],
        classes=len(work.dataset.class_names),
        fill=0.0,
        seed=work.settings.seed,
        epochs=range(1),
    )
    pairs = itertools.islice(batches, _GRADIENT_BATCHES)
    images, targets = zip(*pairs, strict=True)
    return relative_force(
        trainee,
        work.settings.force.strength,
        np.concatenate(list(map(keras.ops.convert_to_numpy, images))),
        np.concatenate(list(map(keras.ops.convert_to_numpy, targets))),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        batch_size=recipe.batch_size,
        **arguments,
    )


def _decompose(work, model, folder):
    if work.settings.budget is not None:
        return _meet_budget(work, model, folder)
    how = dataclasses.asdict(work.settings.decomposition)
    count = how.pop("recalibration_images")
    how["layers"] = chosen_layers(how["layers"], None)
    images = work.sample(model, count) if count else None
    plan = lowrank.plan_decomposition(
        model, **how, images=images if how["method"] == "responses" else None
    )
    work.say(str(plan))
    model = plan.apply()
    runs.write_plan(folder, plan)
    if images is not None:
        model = convolutions.recalibrate(model, images)
    return model, {}


def _meet_budget(work, model, folder):
    count = work.settings.decomposition.recalibration_images
    met = meet_budget.meet(
        model, work.sample(model, count), work.settings.budget, say=work.say
    )
    if met.plan is not None:
        runs.write_plan(folder, met.plan)
    extra = {"quantize": met.quantize, "latency_ratio": round(met.ratio, 4)}
    return met.model, extra


def _finetune(work, model, folder):
    settings = work.settings.finetuning
    recipe = work.settings.recipes["finetune"]
    teacher = work.model(work.before("decompose")) if settings.distillation else None

    def adapt(trainee):
        if teacher is None:
            return trainee
        return trainer.with_teacher(
            trainee, teacher, recipe, settings.distillation, settings.temperature
        )

    state = None
    for segment, until in enumerate(_segments(recipe.epochs, settings)):
        own = folder if until == recipe.epochs else folder / f"segment{segment}"
        own.mkdir(exist_ok=True)
        shrunk = own / "shrunk.keras"
        if not shrunk.exists():
            trainee = work.fit(
                "finetune", model, own, adapt=adapt, until=until, state=state
            )
            if until == recipe.epochs:
                break
            _save_shrunk(model, trainee, settings.shrink_error, own)
        model = load_model(shrunk)
        state = own / "shrunk.weights.h5"
    seconds = sum(map(trainer.seconds, [folder, *folder.glob("segment*")]))
    return model, {"seconds": round(seconds, 1)}


def _sparsify(work, model, folder):
    settings = work.settings.sparsification
    if settings.group_lasso:
        first = folder / "group_lasso"
        first.mkdir(exist_ok=True)
        lasso = GroupLasso(settings.group_lasso)
        work.fit(
            "sparsify",
            model,
            first,
            adapt=lambda trainee: with_regularizer(trainee, lasso),
        )
        work.say(str(sparsity.dead_filters(model, settings.threshold)))
        model = sparsity.remove_dead_filters(model, settings.threshold)
    model = sparsity.prune(model, settings.sparsity)
    work.fit("sparsify", model, folder)
    zeros = round(sparsity.sparsity_report(model).fraction, 4)
    seconds = sum(map(trainer.seconds, [folder, folder / "group_lasso"]))
    return model, {"seconds": round(seconds, 1), "zeros": zeros}


def _segments(epochs, settings) -> list[int]:
    """Epochs at whose end the network is shrunk, and the last one."""
    if not settings.shrink_every:
        return [epochs]
    return [*range(settings.shrink_every, epochs, settings.shrink_every), epochs]


def _save_shrunk(model, trainee, error, folder):
    """Shrinks the network and its training state alike, from the same weights."""
    with utils.replacing(folder / "shrunk.weights.h5") as name:
        lowrank.shrink(trainee, error).save_weights(name)
    with utils.replacing(folder / "shrunk.keras") as name:
        lowrank.shrink(model, error).save(name)


# By name, in order.
STAGES = {
    "baseline": Stage(("dataset", "holdout", "seed", "start"), _baseline),
    "force": Stage(("force",), _force),
    "decompose": Stage(("decomposition", "budget"), _decompose),
    "finetune": Stage(("finetuning",), _finetune),
    "sparsify": Stage(("sparsification",), _sparsify),
}
