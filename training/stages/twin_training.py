"""Training of twins in tf_keras by a recipe, resumably."""

import os
import sys
from pathlib import Path

import h5py
import keras
import tf_keras

from keras_roots.training import data, trainer
from keras_roots.training.data import get_augmentation
from keras_roots.training.trainer import Recipe


def fit(
    twin: tf_keras.Model,
    plain: keras.Model,
    dataset: data.Dataset,
    recipe: Recipe,
    output_dir: str | os.PathLike,
    *,
    callbacks=(),
    seed: int = 0,
    verbose: bool | None = None,
) -> None:
    """Trains a twin, or goes on where a stopped run left it.

    Batches, loss, optimiser and schedule are those of `trainer.fit`.

    Args:
        twin: The twin, whose output is logits.
        plain: The model that it was made from.
        dataset: What to train and watch the accuracy on.
        recipe: How to train.
        output_dir: Directory for log and checkpoint, which exists; a checkpoint in it
            is where training goes on.
        callbacks: Further callbacks of tf_keras.
        seed: Seed of the order and the augmentation of images.
        verbose: Whether to show a progress bar; by default, on a terminal.

    Raises:
        ValueError: The data set does not fit the recipe or the model.
        OSError: The directory cannot be written.
        FloatingPointError: Training diverged; the last good checkpoint is kept.
    """
    steps = data.steps_per_epoch(dataset.train, recipe.batch_size)
    _compile(twin, recipe, steps * recipe.epochs)
    checkpoint = _Checkpoint(twin, Path(output_dir, trainer.LAST))
    first_epoch = checkpoint.load() // steps
    if first_epoch >= recipe.epochs:
        return
    verbose = sys.stdout.isatty() if verbose is None else verbose
    log = trainer.Log(
        output_dir,
        first_epoch=first_epoch,
        images=steps * recipe.batch_size,
        monitor="val_accuracy",
        echo=not verbose,
    )
    checkpoint.log = log
    batches = {
        "batch_size": recipe.batch_size,
        "image_size": plain.input_shape[1],
        "classes": len(dataset.class_names),
    }
    twin.fit(
        data.train_batches(
            dataset.train,
            augmentation=get_augmentation(recipe.augmentation, recipe.flip),
            fill=trainer.mean_colour(plain),
            seed=seed,
            epochs=range(first_epoch, recipe.epochs),
            **batches,
        ),
        steps_per_epoch=steps,
        initial_epoch=first_epoch,
        epochs=recipe.epochs,
        validation_data=data.evaluation_batches(dataset.evaluation, **batches),
        validation_batch_size=recipe.batch_size,
        callbacks=[
            *map(_OfKeras3, [trainer.StopAtNaN(output_dir), log]),
            *callbacks,
            checkpoint,
        ],
        verbose=1 if verbose else 0,
    )


def _compile(twin, recipe, steps):
    optimizer = tf_keras.optimizers.SGD(
        _Schedule(trainer.make_schedule(recipe, steps)),
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )
    loss = tf_keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing
    )
    twin.compile(optimizer, loss, metrics=["accuracy"])
    optimizer.build(twin.trainable_variables)


class _Schedule(tf_keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule of Keras 3 for an optimiser of tf_keras.

    Args:
        schedule: The schedule of Keras 3.
    """

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, step):
        """Returns the learning rate at a step."""
        return self.schedule(step)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"schedule": self.schedule}


class _OfKeras3(tf_keras.callbacks.Callback):
    """A callback of Keras 3, called by tf_keras.

    Args:
        callback: The callback of Keras 3.
    """

    def __init__(self, callback):
        super().__init__()
        self.callback = callback

    def set_params(self, params):
        """Passes the parameters on."""
        self.callback.set_params(params)

    def set_model(self, model):
        """Passes the model on."""
        self.callback.set_model(model)

    def on_epoch_begin(self, epoch, logs=None):
        """Passes the call on."""
        self.callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        """Passes the call on."""
        self.callback.on_epoch_end(epoch, logs)

    def on_test_begin(self, logs=None):
        """Passes the call on."""
        self.callback.on_test_begin(logs)

    def on_train_batch_end(self, batch, logs=None):
        """Passes the call on."""
        self.callback.on_train_batch_end(batch, logs)


class _Checkpoint(tf_keras.callbacks.Callback):
    """Saves and loads all that changes in training.

    That is weights, ranges, masks, clusters and step counters of the wrappers, which
    tf_keras does not save together, and the optimiser's state.

    Args:
        twin: The twin, compiled.
        path: File of the checkpoint.

    Attributes:
        log: The run's log.
    """

    log: trainer.Log

    def __init__(self, twin, path):
        super().__init__()
        self.path = path
        self.iterations = twin.optimizer.iterations
        # In calls, wrappers replace variables of layers by tensors.
        self.variables = [*twin.weights, *twin.optimizer.variables]

    def on_epoch_end(self, epoch, logs=None):
        """Saves the state."""
        trainer.save_checkpoint(self.path, self._save, trainer.log_text(self.log.rows))

    def load(self) -> int:
        """Loads the state, if it was saved; returns the training steps done."""
        if self.path.exists():
            trainer.load_checkpoint(self.path, self._load)
        return int(self.iterations)

    def _save(self, buffer):
        with h5py.File(buffer, "w") as file:
            for index, variable in enumerate(self.variables):
                file[str(index)] = variable.numpy()

    def _load(self, path):
        with h5py.File(path) as file:
            for index, variable in enumerate(self.variables):
                variable.assign(file[str(index)][()])
