"""Trains a given model by a recipe, resumably: what every training binary stands on."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import keras

from keras_roots.training import data
from keras_roots.training.data import get_augmentation
from keras_roots.training.trainer import callbacks as cb
from keras_roots.training.trainer import checkpoints, prepare
from keras_roots.training.trainer.distribution import scope
from keras_roots.training.trainer.recipes import Recipe
from keras_roots.utils import checks, is_installed


def fit(
    plain: keras.Model,
    dataset: data.Dataset,
    recipe: Recipe,
    output_dir: str | os.PathLike,
    *,
    network: keras.Model | None = None,
    adapt: Callable[[keras.Model], keras.Model] = lambda trainee: trainee,
    figures: Callable[[keras.Model], dict] = lambda trainee: {},
    until: int | None = None,
    save_every: int | None = None,
    state: str | os.PathLike | None = None,
    seed: int = 0,
    distribution: str = "mirrored",
    verbose: bool | None = None,
) -> keras.Model:
    """Trains a model, or goes on where a stopped run left it.

    Args:
        plain: The model; its weights are where training starts, and it gets the
            trained ones.
        dataset: What to train and watch the accuracy on.
        recipe: How to train.
        output_dir: Directory for log and checkpoints, which exists; a checkpoint in it
            is where training goes on.
        network: Network to train in place of `plain`, which has its layers by name and
            perhaps more, such as auxiliary heads.
        adapt: Function from the network that is ready to be compiled to the one that
            is trained, with more regularisers or losses for instance.
        figures: Function of the network that is trained, which returns further columns
            of the log, by name.
        until: Epochs of the recipe after which to stop; by default all.
        save_every: Epochs between two checkpoints; by default as few as keep saving
            under a hundredth of the time. The last epoch is always saved.
        state: Checkpoint of weights and optimiser to start from, if there is none in
            `output_dir` yet.
        seed: Seed of everything random.
        distribution: `"mirrored"` (all local devices, on TensorFlow) or
            `"one_device"`.
        verbose: Whether to show a progress bar; by default, on a terminal.

    Returns:
        The network as it was trained, compiled, with its optimiser's state.

    Raises:
        ValueError: The data set or the recipe does not fit the model, an argument is
            impossible, or a checkpoint or the log is damaged.
        OSError: The directory cannot be written.
        FloatingPointError: Training diverged; the last good checkpoint is kept.
    """
    check_layout()
    if save_every is not None:
        checks.integer("save_every", save_every)
    check_patience(recipe, dataset)
    augmentation = get_augmentation(recipe.augmentation, recipe.flip)
    steps = data.steps_per_epoch(dataset.train, recipe.batch_size)
    until = recipe.epochs if until is None else until
    with scope(distribution) as replicas:
        trainee = prepare.prepare(network or plain, recipe, synchronized=replicas > 1)
        prepare.copy_weights(plain, trainee)
        trainee = adapt(trainee)
        counts = None
        if recipe.class_weight:
            counts = dataset.train.class_counts(len(dataset.class_names))
        prepare.compile_model(trainee, recipe, steps * recipe.epochs, counts)

    averaged = None
    if recipe.ema:
        averaged = keras.callbacks.SwapEMAWeights()
        averaged.set_model(trainee)
    print(f"augmentation: {recipe.augmentation}", flush=True)
    verbose = sys.stdout.isatty() if verbose is None else verbose
    checkpoint = Path(output_dir, checkpoints.LAST)
    batches = {
        "batch_size": recipe.batch_size,
        "image_size": plain.input_shape[1],
        "classes": len(dataset.class_names),
        "outputs": len(trainee.outputs),
    }
    for phase, size in recipe.phases():
        # Each starts from the checkpoint of the one before, as a resumed run does.
        done, begin = _resume(trainee, checkpoint, state, steps)
        epochs = range(max(done, phase.start), min(phase.stop, until))
        if not epochs:
            continue
        log = cb.Log(
            output_dir,
            first_epoch=done,
            begin=begin,
            images=steps * recipe.batch_size,
            monitor=_monitor(trainee),
            echo=not verbose,
            epochs=until,
            figures=figures,
        )
        patience = cb.Patience(log, recipe.patience)
        if patience.is_over():  # before the run was stopped
            break
        saving = cb.Checkpoint(output_dir, log, plain, averaged, save_every)
        trainee.make_train_function(force=True)  # for images of this size
        with dataset.reading():
            trainee.fit(
                data.train_batches(
                    dataset.train,
                    augmentation=augmentation,
                    fill=prepare.mean_colour(plain),
                    seed=seed,
                    epochs=epochs,
                    resized=size,
                    **batches,
                ),
                steps_per_epoch=steps,
                initial_epoch=epochs.start,
                epochs=epochs.stop,
                validation_data=data.evaluation_batches(dataset.evaluation, **batches),
                validation_batch_size=recipe.batch_size,
                shuffle=False,  # the batches are shuffled already, reproducibly
                callbacks=[
                    cb.Reseed(seed),
                    cb.StopAtNaN(output_dir),
                    *([averaged] if averaged else []),
                    log,
                    patience,
                    saving,
                    *_board(output_dir),
                ],
                verbose=1 if verbose else 0,
            )
    with cb.averaged_weights(averaged):
        prepare.copy_weights(trainee, plain)
    best = Path(output_dir, checkpoints.BEST)
    if recipe.patience and best.exists():
        checkpoints.load_checkpoint(best, plain.load_weights)
    return trainee


def seconds(output_dir: str | os.PathLike) -> float:
    """Returns the seconds that the epochs in a run's log took."""
    return round(
        sum(float(row["seconds"]) for row in checkpoints.read_log(output_dir)), 1
    )


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seeds everything random, and asks for reproducible operations if wanted."""
    keras.utils.set_random_seed(seed)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def check_patience(recipe: Recipe, dataset: data.Dataset) -> None:
    """Raises a ValueError if a recipe waits for a best epoch that nothing tells."""
    if recipe.patience and dataset.evaluation is dataset.test:
        raise ValueError(
            "`patience` needs images that are held out of the training images: the "
            "best epoch by the test images would be theirs. Give `holdout`. "
            f"Received: patience={recipe.patience}, holdout=0"
        )


def check_layout() -> None:
    """Raises a ValueError unless images have their channels last."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "Training takes images with their channels last. Received: "
            f"image_data_format={keras.config.image_data_format()!r}"
        )


def _board(output_dir) -> list[keras.callbacks.Callback]:
    """Returns a callback for TensorBoard if both packages that it needs are there."""
    if not is_installed("tensorboard", "tensorflow"):
        return []
    board = str(Path(output_dir, "tensorboard"))
    return [keras.callbacks.TensorBoard(board, write_graph=False)]


def _monitor(model) -> str:
    """Name of the accuracy that is watched: the main output's."""
    if len(model.outputs) == 1:
        return "val_accuracy"
    return f"val_{model.output_names[0]}_accuracy"


def _resume(model, checkpoint, state, steps) -> tuple[int, int | None]:
    """Loads the last checkpoint, if there is one.

    Returns the epochs done, and those before this folder's, `None` if not known.
    """
    start = checkpoint if checkpoint.exists() else state
    if start is None:
        return 0, 0
    checkpoints.load_checkpoint(start, model.load_weights)
    done = int(model.optimizer.iterations) // steps
    if start is checkpoint:
        return done, 0 if state is None else None
    return done, done
