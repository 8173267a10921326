"""The stage that trains the network once it is cheaper, or smaller and smaller."""

import dataclasses
from pathlib import Path

from keras_roots import lowrank, utils
from keras_roots.convolutions import recalibrate
from keras_roots.training import trainer
from keras_roots.training.options import option, options
from keras_roots.training.runs import MODEL
from keras_roots.training.stages.stage import Stage
from keras_roots.training.stages.train import Train


@options
class FineTuning:
    """What goes with the training of the cheaper network."""

    distillation: float | None = option(
        None,
        "Weight of the distance to the original's outputs; by default 1 with a budget "
        "for groups and ranks, else 0.",
        least=0,
    )
    temperature: float = option(2.0, "Temperature of the distillation.", least=0.1)
    distillation_only: bool = option(
        False, "Whether the original's outputs teach alone, without the labels."
    )
    shrink_every: int = option(
        0,
        "Epochs of fine-tuning after which layers are shrunk further, 0: never.",
        least=0,
    )
    shrink_error: float = option(0.02, "Relative squared error of that.")


@dataclasses.dataclass(frozen=True)
class FineTune(Train):
    """Trains the cheaper network, which learns from the original beside the labels.

    Attributes:
        settings: What goes with the training.
        teacher: Name of the stage whose model is the original.
        start: Name of the stage whose model is trained; `None` for the stage before.
    """

    name: str = "finetune"
    settings: FineTuning = FineTuning()
    teacher: str = "baseline"
    start: str | None = None

    def check(self):
        """As for every stage."""
        utils.checks.part("shrink_error", self.settings.shrink_error)
        if self.settings.distillation_only and not self.settings.distillation:
            raise ValueError(
                "`distillation_only` needs a distillation above 0. "
                f"Received: distillation={self.settings.distillation}"
            )
        recipe, every = self.recipe, self.settings.shrink_every
        if every and (recipe.ema or recipe.patience):
            raise ValueError(
                "`shrink_every` cannot be combined with a moving average of the "
                "weights or `patience`: it shrinks the weights of the last epoch. "
                f"Received: shrink_every={every}, ema={recipe.ema}, "
                f"patience={recipe.patience}"
            )

    def adapt(self, trainee, context):
        """Adds the distance to the original's outputs to the loss."""
        weight = self.settings.distillation
        if not weight:
            return trainee
        teacher = utils.load_model(Path(context.folder, self.teacher, MODEL))
        return trainer.with_teacher(
            trainee,
            teacher,
            self.recipe,
            weight,
            self.settings.temperature,
            images=self._images(teacher, context),
            alone=self.settings.distillation_only,
        )

    def run(self, model, folder, context):
        """As for every stage; each segment between two shrinkings has a folder.

        BatchNormalization's moving statistics, which lag behind the weights in a short
        training, are estimated anew before and after it.
        """
        if self.start is not None:
            model = utils.load_model(Path(context.folder, self.start, MODEL))
        images = self._images(model, context)
        model, state = recalibrate(model, images), None
        for segment, until in enumerate(self._segments()):
            last = until == self.recipe.epochs
            own = folder if last else folder / f"segment{segment}"
            own.mkdir(exist_ok=True)
            shrunk = own / "shrunk.keras"
            if not shrunk.exists():
                trainee = context.fit(
                    model,
                    self.recipe,
                    own,
                    adapt=lambda trainee: self.adapt(trainee, context),
                    until=until,
                    state=state,
                )
                if last:
                    break
                self._save_shrunk(model, trainee, own)
            model = utils.load_model(shrunk)
            state = own / "shrunk.weights.h5"
        seconds = sum(map(trainer.seconds, [folder, *folder.glob("segment*")]))
        extra = {
            "epochs": self.recipe.epochs,
            "train_images": context.dataset.train.count,
            "seconds": round(seconds, 1),
        }
        return recalibrate(model, images), extra

    def _images(self, model, context):
        how = (context.dataset, self.recipe, context.seed)
        return trainer.statistics_images(model, *how)

    def _segments(self) -> list[int]:
        """Epochs at whose end the network is shrunk, and the last one."""
        epochs, every = self.recipe.epochs, self.settings.shrink_every
        return [*range(every, epochs, every), epochs] if every else [epochs]

    def _save_shrunk(self, model, trainee, folder):
        """Shrinks the network and its training state alike, from the same weights."""
        error = self.settings.shrink_error
        shrunk = lowrank.shrink(trainee, error)
        trainer.save_checkpoint(folder / "shrunk.weights.h5", shrunk.save_weights)
        with utils.replacing(folder / "shrunk.keras") as name:
            lowrank.shrink(model, error).save(name)


@dataclasses.dataclass(frozen=True)
class Distil(Stage):
    """Trains the cheaper network on the original's answers, without labels.

    Attributes:
        epochs: Passes over the samples.
        images: Samples, at most; of a data set, training images without their labels.
        learning_rate: As for `trainer.distiller`.
        temperature: As for `trainer.distiller`.
        features: As for `trainer.distiller`.
        teacher: Name of the stage whose model is the original.
    """

    name: str = "finetune"
    epochs: int = 5
    images: int = 2000
    learning_rate: float = 3e-4
    temperature: float = 2.0
    features: tuple[str, ...] = ()
    teacher: str = "baseline"

    def run(self, model, folder, context):
        """As for every stage."""
        teacher = utils.load_model(Path(context.folder, self.teacher, MODEL))
        train = trainer.distiller(
            context.sample(teacher, self.images),
            self.epochs,
            features=self.features,
            temperature=self.temperature,
            learning_rate=self.learning_rate,
            seed=context.seed,
            verbose=context.verbose,
        )
        return train(model, teacher), {"epochs": self.epochs}

    def with_epochs(self, epochs):
        """As for every stage."""
        return dataclasses.replace(self, epochs=epochs) if epochs else None
