r"""Makes a trained network cheaper: coordinates its filters, decomposes it, fine-tunes.

Force Regularization (Wen et al., ICCV 2017) from baseline to exported file:

  baseline    trains a network, or takes one by --from or --weights
  force       goes on training with forces between the filters: their rank falls
  ranks       prints the ranks before and after; writes ranks.csv, spectra.png
  decompose   replaces convolutions by two cheaper ones where that pays, or with
              --budget gives them filter groups or lower ranks
  finetune    trains the cheaper network
  sparsify    with --sparsify_epochs: removes dead filters, prunes weights, trains
  export      LiteRT files, float32 and int8, and one table of accuracy, multiply-adds,
              parameters, bytes and measured latency at every stage: table.csv, and
              report.html, a page that shows them, the layers and outputs

Examples, on the embedded digits (a few minutes on two cores):

  keras-roots-compress --model=root_resnet20 --epochs=6 --force_strength=1e-3 \
      --budget=0.5 --method=responses,separable_responses --cost=macs \
      --output_dir=runs/digits-compressed

the 1x1s of a network with filter groups, which those leave whole:

  keras-roots-compress --model=root_nin --root=8 --weights=cifar10 --dataset=cifar10 \
      --layers=pointwise --budget=0.7 --method=responses --force_epochs=0 \
      --finetune_epochs=2 --output_dir=runs/nin-pointwise

and for a part of the time of the network's float32 file, by filter groups, lower ranks
and int8, whichever loses least; export then writes model.tflite, budget.csv and
report.html:

  keras-roots-compress --model=root_nin --weights=cifar10 --dataset=cifar10 \
      --budget=0.25 --finetune_epochs=3 --output_dir=runs/nin-quarter

A network of keras.applications gets a head for the data set's classes, which is trained
first:

  keras-roots-compress --from=keras.applications.ResNet50 --epochs=10 \
      --dataset=imagenette/160px-v2 --budget=0.25 --output_dir=runs/photographs-quarter

A network of any task, with any inputs and outputs, needs no labels: --images, a folder
of images or an .npz file of arrays, takes the place of the data set. There is no force
then; finetune matches the outputs of the original; export writes model.keras,
model.tflite, table.csv, with the errors of the outputs on images held out, and
report.html, with outputs of both networks side by side:

  keras-roots-compress --from=detector.keras --images=photographs --budget=0.25 \
      --finetune_epochs=5 --output_dir=runs/detector-quarter

The same command goes on where it was stopped; --stage=force,decompose runs some stages
alone, on what the others left. The right strength depends on the network: choose it on
images held out of the training split (--holdout), by their accuracy in result.json.
"""

import dataclasses
import functools

from keras_roots.training import reports, runs, stages
from keras_roots.training.commands import flags
from keras_roots.training.data import Source, WithoutLabels
from keras_roots.training.networks import Start, has_new_head, is_application
from keras_roots.training.options import option, options
from keras_roots.training.stages import (
    Budget,
    Decomposition,
    FineTuning,
    Forces,
    Sparsification,
    TrainingRun,
)
from keras_roots.training.trainer import Changes, get_recipe

STAGES = ("baseline", "force", "ranks", "decompose", "finetune", "sparsify", "export")


def _epochs(stage, text, default=None):
    return option(default, text, least=0, flag=f"{stage}_epochs")


def _rate(stage, text):
    text = f"Highest rate; by default {text}."
    return option(None, text, flag=f"{stage}_learning_rate")


@options
class Course:
    """Which stages run, and how long those train that come after the baseline."""

    stage: tuple[str, ...] = option(
        STAGES, f"Stages to run, of {STAGES}.", choices=STAGES
    )
    from_scratch: bool = option(
        False, "Whether forces act from random weights on, with no baseline trained."
    )
    force_epochs: int | None = _epochs(
        "force",
        "Epochs with forces, 0 for none; by default a third, with a budget for groups "
        "and ranks none.",
    )
    force_learning_rate: float | None = _rate("force", "the baseline's")
    finetune_epochs: int | None = _epochs(
        "finetune",
        "Epochs of training the cheaper network; by default a third, without labels 5.",
    )
    finetune_learning_rate: float | None = _rate(
        "finetune", "a fifth of the baseline's, without labels 0.0003"
    )
    sparsify_epochs: int | None = _epochs(
        "sparsify", "Epochs of each training of that stage.", 0
    )
    sparsify_learning_rate: float | None = _rate(
        "sparsify", "a fifth of the baseline's"
    )


# Flags that only have an effect in a stage that trains.
_NEEDS = {
    "group_lasso": "sparsify",
    "sparsity": "sparsify",
    "distillation": "finetune",
    "distillation_only": "finetune",
    "shrink_every": "finetune",
}
# Flags of ranks for themselves, and of a budget for groups and ranks.
_OF_RANKS = ("error", "ranks", "rank_multiple")
_OF_BUDGET = ("quantize", "ways", "threads", "latency_table")
# Classes of flags, and flags, that need labels.
_OF_LABELS = (Source, Changes, Forces, Sparsification)
_ALSO_OF_LABELS = (
    "from_scratch",
    "force_epochs",
    "force_learning_rate",
    "sparsify_epochs",
    "sparsify_learning_rate",
    "distillation",
    "distillation_only",
    "shrink_every",
    "shrink_error",
)
_WITHOUT_LABELS = ("baseline", "decompose", "finetune", "export")


def main(given) -> None:
    """Runs the stages that the flags name."""
    if given[WithoutLabels].images is not None:
        _without_labels(given)
        return
    source = given[Source]
    made = plan(given)
    context = given[TrainingRun].context(source.open())
    with runs.hold_directory(context.folder):
        _with_labels(given, made, context)


def _with_labels(given, made, context):
    """Runs the stages in a folder that is held, and reports them."""
    start, course = given[Start], given[Course]
    run = functools.partial(
        stages.run,
        made,
        context,
        functools.partial(start.start, context.dataset),
        {"start": start.describe()},
    )
    names = [stage.name for stage in made if stage.name in course.stage]
    before = [name for name in names if name in reports.RANKED]
    outcome = run(before)
    if "ranks" in course.stage:
        for name, analysis in reports.ranks(
            outcome, given[Decomposition].error
        ).items():
            print(f"\nranks, {name}\n{analysis}\n")
    outcome = run([name for name in names if name not in before])
    if "export" not in course.stage:
        return
    if _by_both(given):
        rows = reports.deliver(outcome, context, given[Budget])
        print(f"\n{reports.render_budget(rows)}")
    else:
        print(f"\n{reports.render_stages(reports.export_stages(outcome, context))}")


def _without_labels(given):
    """Runs the stages that need no labels."""
    start, course, run = given[Start], given[Course], given[TrainingRun]
    made = plan_without_labels(given)
    original = start.build()
    samples = given[WithoutLabels].open(original, run.seed)
    context = run.context(samples)
    with runs.hold_directory(context.folder):
        outcome = stages.run(
            made,
            context,
            lambda: original,
            {"start": start.describe()},
            [stage.name for stage in made if stage.name in course.stage],
        )
        if "export" in course.stage:
            threads = given[Budget].threads
            rows = reports.deliver_unlabelled(outcome, context, threads)
            print(f"\n{reports.render_unlabelled(rows)}")


run = flags.command(
    main,
    __doc__,
    Start,
    Source,
    WithoutLabels,
    TrainingRun,
    Changes,
    Course,
    Forces,
    Decomposition,
    Budget,
    FineTuning,
    Sparsification,
)


def plan(given) -> list[stages.Stage]:
    """Returns the stages that leave models, as the flags ask for them.

    Raises:
        ValueError: A flag is impossible, or would have no effect.
    """
    start, course = given[Start], given[Course]
    dataset, changes = given[Source].dataset, given[Changes].given()
    recipe = get_recipe(start.model, dataset, **changes)
    third = max(1, recipe.epochs // 3)
    both = _by_both(given)
    forced = recipe.epochs if course.from_scratch else 0 if both else third
    made = [stages.Train("baseline", recipe=recipe)]
    if has_new_head(start.path, dataset):
        # All but the head is trained already: the rate is that of fine-tuning.
        rate = changes.get("learning_rate", recipe.learning_rate / 5)
        recipe_of_head = dataclasses.replace(recipe, learning_rate=rate)
        made = [stages.Train("baseline", recipe=recipe_of_head)]
    elif start.path or start.weights or course.from_scratch:
        made = [stages.Keep("baseline")]
    if after := _recipe(recipe, course, "force", forced, 1):
        family = None if start.path else start.model
        made.append(stages.Force(recipe=after, forces=given[Forces], family=family))
    teacher = made[-1].name
    made.append(_cheaper(given))
    if after := _recipe(recipe, course, "finetune", third, 5):
        settings = given[FineTuning]
        if settings.distillation is None:
            weight = 1.0 if both else 0.0
            settings = dataclasses.replace(settings, distillation=weight)
        made.append(stages.FineTune(recipe=after, settings=settings, teacher=teacher))
    if after := _recipe(recipe, course, "sparsify", 0, 5):
        made.append(stages.Sparsify(recipe=after, settings=given[Sparsification]))
    _check_use(given, [stage.name for stage in made])
    return made


def plan_without_labels(given) -> list[stages.Stage]:
    """Returns the stages that leave models where there are samples without labels.

    Raises:
        ValueError: A flag is impossible, or would have no effect.
    """
    start, course, how = given[Start], given[Course], given[FineTuning]
    own = [name for cls in _OF_LABELS for name in flags.names([cls])]
    for name in (*own, *_ALSO_OF_LABELS):
        if given.present(name):
            raise ValueError(
                f"Give --images or --{name}, not both: with --images there are no "
                "labels to train on, and the network is taken as it is"
            )
    start.check_trained()
    if is_application(start.path):
        raise ValueError(
            "--images needs a .keras file or --model with --weights: save the network "
            f"of keras.applications first. Received: --from={start.path}"
        )
    unknown = [name for name in course.stage if name not in _WITHOUT_LABELS]
    if given.present("stage") and unknown:
        raise ValueError(
            f"`stage` must be of {_WITHOUT_LABELS} with --images. Received: {unknown}"
        )
    made = [stages.Keep("baseline"), _cheaper(given)]
    epochs = 5 if course.finetune_epochs is None else course.finetune_epochs
    if epochs:
        rate = course.finetune_learning_rate
        made.append(
            stages.Distil(
                epochs=epochs,
                temperature=how.temperature,
                **({} if rate is None else {"learning_rate": rate}),
            )
        )
    _check_use(given, [stage.name for stage in made])
    return made


def _cheaper(given) -> stages.Stage:
    """The stage that decomposes the network, or gives it groups and ranks."""
    if _by_both(given):
        return stages.MeetBudget(settings=given[Budget])
    return stages.Decompose(settings=given[Decomposition])


def _by_both(given) -> bool:
    """Tells whether groups and ranks share a budget, or ranks are for themselves."""
    return given[Decomposition].budget is not None and not given.present("method")


def _recipe(recipe, course, stage, epochs, divisor):
    """The recipe of a stage after the baseline; `None` to leave it out."""
    chosen = getattr(course, f"{stage}_epochs")
    epochs = epochs if chosen is None else chosen
    if epochs == 0:
        return None
    rate = getattr(course, f"{stage}_learning_rate")
    rate = recipe.learning_rate / divisor if rate is None else rate
    return dataclasses.replace(recipe, epochs=epochs, learning_rate=rate)


def _check_use(given, names):
    """Refuses what would have no effect."""
    start, course = given[Start], given[Course]
    for name, stage in _NEEDS.items():
        if given.value(name) and stage not in names:
            raise ValueError(
                f"--{name} needs --{stage}_epochs above 0. "
                f"Received: --{name}={given.value(name)}"
            )
    both = _by_both(given)
    for name in _OF_RANKS if both else _OF_BUDGET:
        if given.present(name):
            raise ValueError(
                f"Give --budget or --{name}, not both: --budget chooses groups and "
                "ranks itself; with --method it chooses ranks alone"
                if both
                else f"--{name} needs --budget without --method"
            )
    if course.from_scratch and (start.path or start.weights):
        raise ValueError("Give --from_scratch, or --from or --weights, not both")
    for stage in ("force", "finetune", "sparsify"):
        if given.present("stage") and stage in course.stage and stage not in names:
            raise ValueError(f"--stage={stage} needs --{stage}_epochs above 0")
