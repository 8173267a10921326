"""The way from a trained network to a cheaper one, in stages.

Every stage reads the model that the one before it left, and leaves its own in a folder
of its name; a stage that is done is not run again, one that was stopped goes on.
"""

import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_roots import files, lowrank, sparsity
from keras_roots.loading import load_model
from keras_roots.regularizers import (
    ForceRegularizer,
    GroupLasso,
    relative_force,
    with_regularizer,
)
from keras_roots.training import (
    budgeted,
    data,
    distillation,
    fitting,
    output,
    pipeline,
)
from keras_roots.training.augment import get_augmentation
from keras_roots.training.compression_settings import Settings, check, chosen_layers

_GRADIENT_BATCHES = 10  # for the strength relative to the gradient

# Stages that leave a model, in order, with the settings that each depends on beside
# those of the stages before it.
STAGES: dict[str, tuple[str, ...]] = {
    "baseline": ("dataset", "holdout", "seed", "start"),
    "force": ("force",),
    "decompose": ("decomposition", "budget"),
    "finetune": ("finetuning",),
    "sparsify": ("sparsification",),
}


class Compression:
    """Runs stages in an output directory.

    Args:
        settings: What to compute.
        output_dir: Directory with a folder per stage.
        make_start: Function that returns the model to start from; called where the
            baseline is not done yet.
        dataset: The data set, if it is at hand; else it is opened by its name.
        data_dir: Where TensorFlow Datasets keeps its data sets.
        distribution: As for `fit`.
        verbose: Whether to show progress bars; by default, on a terminal.
        say: Called with a line of text at the start and end of stages.
    """

    def __init__(
        self,
        settings: Settings,
        output_dir: str,
        make_start: Callable[[data.Dataset], keras.Model],
        *,
        dataset: data.Dataset | None = None,
        data_dir: str | None = None,
        distribution: str = "mirrored",
        verbose: bool | None = None,
        say: Callable[[str], None] = print,
    ):
        fitting.check_layout()
        check(settings)
        self.settings = settings
        self.directory = Path(output_dir)
        self.make_start = make_start
        self.dataset = dataset or data.open_dataset(
            settings.dataset, data_dir, settings.holdout
        )
        self.distribution = distribution
        self.verbose = verbose
        self.say = say

    def run(self, stages: Sequence[str] = tuple(STAGES)) -> None:
        """Runs stages in their order, but those that are done.

        Args:
            stages: Names of stages, keys of `STAGES`.

        Raises:
            ValueError: A stage is unknown, the one before it is not done, or its folder
                holds something else.
            FloatingPointError: Training diverged.
        """
        unknown = set(stages) - set(STAGES)
        if unknown:
            raise ValueError(
                f"`stages` must be of {list(STAGES)}. Received: {sorted(unknown)}"
            )
        for stage in STAGES:
            if stage in stages and self.is_wanted(stage):
                self._run(stage)

    def is_wanted(self, stage: str) -> bool:
        """Tells whether the settings have use for a stage."""
        return stage in ("baseline", "decompose") or stage in self.settings.recipes

    def is_done(self, stage: str) -> bool:
        """Tells whether a stage has left its model and result."""
        return (self.directory / stage / fitting.RESULT).exists()

    def done(self) -> list[str]:
        """Returns the stages that have left a model, in order.

        Raises:
            ValueError: One of them did so with other settings.
        """
        stages = [s for s in STAGES if self.is_wanted(s) and self.is_done(s)]
        for stage in stages:
            output.claim_directory(self.directory / stage, self._config(stage))
        return stages

    def model(self, stage: str) -> keras.Model:
        """Loads the model that a stage has left."""
        return load_model(self.directory / stage / fitting.MODEL)

    def result(self, stage: str) -> dict:
        """Returns what a stage's `result.json` holds."""
        return json.loads((self.directory / stage / fitting.RESULT).read_text())

    def before(self, stage: str) -> str:
        """Returns the name of the stage whose model a stage reads."""
        names = [name for name in STAGES if self.is_wanted(name)]
        return names[names.index(stage) - 1]

    def sample(self, model: keras.Model, count: int) -> np.ndarray:
        """Returns training images of a model's size, chosen at random."""
        size = model.input_shape[1]
        return self.dataset.train.sample(count, size, self.settings.seed)

    def _run(self, stage):
        folder = self.directory / stage
        if self.is_done(stage):
            output.claim_directory(folder, self._config(stage))
            self.say(f"{stage}: done already, {self.result(stage)['top1']:.2%} top-1")
            return
        fitting.set_seed(self.settings.seed)
        if stage == "baseline":
            model = self.make_start(self.dataset)
        elif self.is_done(self.before(stage)):
            model = self.model(self.before(stage))
        else:
            raise ValueError(
                f"Stage {stage!r} needs the model of stage {self.before(stage)!r}, "
                f"which is not in {str(self.directory)!r}: run that one first"
            )
        output.claim_directory(folder, self._config(stage))
        self.say(f"{stage}: starts")
        try:
            model, extra = _STAGES[stage](self, model, folder)
        except ValueError:
            output.release_directory(folder)
            raise
        result = fitting.finish(model, self.dataset, folder, **extra)
        self.say(f"{stage}: done, {result['top1']:.2%} top-1")

    def _config(self, stage) -> dict:
        """What a stage depends on: its own settings and those of the ones before."""
        config = {}
        for name, fields in STAGES.items():
            if not self.is_wanted(name):
                continue
            own = {field: getattr(self.settings, field) for field in fields}
            own["recipe"] = self.settings.recipes.get(name)
            config[name] = {
                field: dataclasses.asdict(value)
                if dataclasses.is_dataclass(value)
                else value
                for field, value in own.items()
            }
            if name == stage:
                return config
        raise ValueError(f"no stage {stage!r}")

    def _fit(self, stage, model, folder, **options) -> keras.Model:
        return fitting.fit(
            model,
            self.dataset,
            self.settings.recipes[stage],
            folder,
            seed=self.settings.seed,
            distribution=self.distribution,
            verbose=self.verbose,
            **options,
        )

    def _baseline(self, model, folder):
        if "baseline" not in self.settings.recipes:
            return model, {}
        self._fit("baseline", model, folder)
        return model, {"seconds": fitting.seconds(folder)}

    def _force(self, model, folder):
        force = self.settings.force
        arguments = {
            name: getattr(force, name) for name in ("norm", "normalize", "scale")
        }
        chosen = chosen_layers(force.layers, self.settings.start.get("model"))
        recipe = self.settings.recipes["force"]

        def adapt(trainee):
            regularizer = ForceRegularizer(force.strength, **arguments)
            if force.relative:
                regularizer = self._relative(trainee, recipe, arguments)
            return with_regularizer(trainee, regularizer, chosen)

        self._fit("force", model, folder, adapt=adapt)
        return model, {"seconds": fitting.seconds(folder)}

    def _relative(self, trainee, recipe, arguments):
        batches = pipeline.train_batches(
            self.dataset.train,
            augmentation=get_augmentation("none"),
            batch_size=recipe.batch_size,
            image_size=trainee.input_shape[1],
            classes=len(self.dataset.class_names),
            fill=0.0,
            seed=self.settings.seed,
            epochs=range(1),
        )
        pairs = itertools.islice(batches, _GRADIENT_BATCHES)
        images, targets = zip(*pairs, strict=True)
        return relative_force(
            trainee,
            self.settings.force.strength,
            np.concatenate(list(map(keras.ops.convert_to_numpy, images))),
            np.concatenate(list(map(keras.ops.convert_to_numpy, targets))),
            keras.losses.CategoricalCrossentropy(from_logits=True),
            batch_size=recipe.batch_size,
            **arguments,
        )

    def _decompose(self, model, folder):
        if self.settings.budget is not None:
            return self._meet_budget(model, folder)
        how = dataclasses.asdict(self.settings.decomposition)
        count = how.pop("recalibration_images")
        how["layers"] = chosen_layers(how["layers"], None)
        images = self.sample(model, count) if count else None
        plan = lowrank.plan_decomposition(
            model, **how, images=images if how["method"] == "responses" else None
        )
        self.say(str(plan))
        model = plan.apply()
        files.write_csv(
            folder / "plan.csv", [dataclasses.asdict(row) for row in plan.layers]
        )
        if images is not None:
            model = lowrank.recalibrate(model, images)
        return model, {}

    def _meet_budget(self, model, folder):
        count = self.settings.decomposition.recalibration_images
        met = budgeted.meet(
            model, self.sample(model, count), self.settings.budget, say=self.say
        )
        if met.plan is not None:
            rows = [dataclasses.asdict(row) for row in met.plan.layers]
            files.write_csv(folder / "plan.csv", rows)
        extra = {"quantize": met.quantize, "latency_ratio": round(met.ratio, 4)}
        return met.model, extra

    def _finetune(self, model, folder):
        settings = self.settings.finetuning
        recipe = self.settings.recipes["finetune"]
        teacher = (
            self.model(self.before("decompose")) if settings.distillation else None
        )

        def adapt(trainee):
            if teacher is None:
                return trainee
            return distillation.with_teacher(
                trainee, teacher, recipe, settings.distillation, settings.temperature
            )

        state = None
        for segment, until in enumerate(_segments(recipe.epochs, settings)):
            own = folder if until == recipe.epochs else folder / f"segment{segment}"
            own.mkdir(exist_ok=True)
            shrunk = own / "shrunk.keras"
            if not shrunk.exists():
                trainee = self._fit(
                    "finetune", model, own, adapt=adapt, until=until, state=state
                )
                if until == recipe.epochs:
                    break
                _save_shrunk(model, trainee, settings.shrink_error, own)
            model = load_model(shrunk)
            state = own / "shrunk.weights.h5"
        seconds = sum(map(fitting.seconds, [folder, *folder.glob("segment*")]))
        return model, {"seconds": round(seconds, 1)}

    def _sparsify(self, model, folder):
        settings = self.settings.sparsification
        if settings.group_lasso:
            first = folder / "group_lasso"
            first.mkdir(exist_ok=True)
            lasso = GroupLasso(settings.group_lasso)
            self._fit(
                "sparsify",
                model,
                first,
                adapt=lambda trainee: with_regularizer(trainee, lasso),
            )
            self.say(str(sparsity.dead_filters(model, settings.threshold)))
            model = sparsity.remove_dead_filters(model, settings.threshold)
        model = sparsity.prune(model, settings.sparsity)
        self._fit("sparsify", model, folder)
        zeros = round(sparsity.sparsity_report(model).fraction, 4)
        seconds = sum(map(fitting.seconds, [folder, folder / "group_lasso"]))
        return model, {"seconds": round(seconds, 1), "zeros": zeros}


_STAGES = {
    "baseline": Compression._baseline,
    "force": Compression._force,
    "decompose": Compression._decompose,
    "finetune": Compression._finetune,
    "sparsify": Compression._sparsify,
}


def _segments(epochs, settings) -> list[int]:
    """Epochs at whose end the network is shrunk, and the last one."""
    if not settings.shrink_every:
        return [epochs]
    return [*range(settings.shrink_every, epochs, settings.shrink_every), epochs]


def _save_shrunk(model, trainee, error, folder):
    """Shrinks the network and its training state alike, from the same weights."""
    with files.replacing(folder / "shrunk.weights.h5") as name:
        lowrank.shrink(trainee, error).save_weights(name)
    with files.replacing(folder / "shrunk.keras") as name:
        lowrank.shrink(model, error).save(name)
