"""Trains a given model by a recipe, resumably: what every training binary stands on."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import keras

import keras_roots
from keras_roots import utils
from keras_roots.training import data, evaluation, runs
from keras_roots.training.data import get_augmentation
from keras_roots.training.trainer import callbacks as cb
from keras_roots.training.trainer import prepare
from keras_roots.training.trainer.recipes import Recipe

MODEL = "model.keras"
RESULT = "result.json"


def fit(
    plain: keras.Model,
    dataset: data.Dataset,
    recipe: Recipe,
    output_dir: str | os.PathLike,
    *,
    network: keras.Model | None = None,
    adapt: Callable[[keras.Model], keras.Model] = lambda trainee: trainee,
    until: int | None = None,
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
        until: Epochs of the recipe after which to stop; by default all.
        state: Checkpoint of weights and optimiser to start from, if there is none in
            `output_dir` yet.
        seed: Seed of everything random.
        distribution: `"mirrored"` (all local devices, on TensorFlow) or
            `"one_device"`.
        verbose: Whether to show a progress bar; by default, on a terminal.

    Returns:
        The network as it was trained, compiled, with its optimiser's state.

    Raises:
        ValueError: The data set does not fit the recipe or the model.
        OSError: The directory cannot be written.
        FloatingPointError: Training diverged; the last good checkpoint is kept.
    """
    check_layout()
    augmentation = get_augmentation(recipe.augmentation)
    steps = data.steps_per_epoch(dataset.train, recipe.batch_size)
    until = recipe.epochs if until is None else until
    with _scope(distribution) as replicas:
        trainee = prepare.prepare(network or plain, recipe, synchronized=replicas > 1)
        prepare.copy_weights(plain, trainee)
        trainee = adapt(trainee)
        prepare.compile_model(trainee, recipe, steps * recipe.epochs)
        first_epoch = _resume(trainee, Path(output_dir, cb.LAST), state, steps)

    averaged = None
    if recipe.ema:
        averaged = keras.callbacks.SwapEMAWeights()
        averaged.set_model(trainee)
    verbose = sys.stdout.isatty() if verbose is None else verbose
    log = cb.Log(
        output_dir,
        first_epoch=first_epoch,
        images=steps * recipe.batch_size,
        monitor=_monitor(trainee),
        echo=not verbose,
    )
    batches = {
        "batch_size": recipe.batch_size,
        "image_size": plain.input_shape[1],
        "classes": len(dataset.class_names),
        "outputs": len(trainee.outputs),
    }
    if first_epoch < until:
        trainee.fit(
            data.train_batches(
                dataset.train,
                augmentation=augmentation,
                fill=prepare.mean_colour(plain),
                seed=seed,
                epochs=range(first_epoch, until),
                **batches,
            ),
            steps_per_epoch=steps,
            initial_epoch=first_epoch,
            epochs=until,
            validation_data=data.evaluation_batches(dataset.evaluation, **batches),
            validation_batch_size=recipe.batch_size,
            shuffle=False,  # the batches are shuffled already, reproducibly
            callbacks=_callbacks(trainee, plain, log, averaged, output_dir, seed),
            verbose=1 if verbose else 0,
        )
    with cb.averaged_weights(averaged):
        prepare.copy_weights(trainee, plain)
    return trainee


def finish(
    plain: keras.Model,
    dataset: data.Dataset,
    output_dir: str | os.PathLike,
    batch_size: int = 100,
    **extra,
) -> dict:
    """Saves a model as `model.keras`, and what it reaches as `result.json`.

    Args:
        plain: The model.
        dataset: The data set, whose test split gives the accuracy.
        output_dir: Directory of the run.
        batch_size: Images per call.
        **extra: Further entries of the result.

    Returns:
        What `result.json` holds: accuracy on the test split, and on the images held
        out of the training split if there are any; multiply-adds, parameters, `extra`;
        command, hardware, versions and date.
    """
    with utils.replacing(Path(output_dir, MODEL)) as name:
        plain.save(name)
    predictor = evaluation.model_predictor(plain)
    score = evaluation.evaluate_on(predictor, dataset, batch_size=batch_size)
    profile = keras_roots.profile(plain)
    result = {
        "model": plain.name,
        "dataset": dataset.name,
        **dataclasses.asdict(score),
        "macs": profile.macs,
        "params": profile.params,
        **extra,
    }
    if dataset.evaluation is not dataset.test:
        held_out = evaluation.evaluate_on(
            predictor, dataset, "evaluation", batch_size=batch_size
        )
        result["validation_top1"] = held_out.top1
        result["validation_images"] = held_out.images
    result |= runs.describe()
    utils.write_text(Path(output_dir, RESULT), json.dumps(result, indent=2) + "\n")
    return result


def seconds(output_dir: str | os.PathLike) -> float:
    """Returns the seconds that the epochs in a run's log took."""
    return round(sum(float(row["seconds"]) for row in cb.read_log(output_dir)), 1)


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seeds everything random, and asks for reproducible operations if wanted."""
    keras.utils.set_random_seed(seed)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def check_layout() -> None:
    """Raises a ValueError unless images have their channels last."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "Training takes images with their channels last. Received: "
            f"image_data_format={keras.config.image_data_format()!r}"
        )


@contextlib.contextmanager
def _scope(distribution):
    """Yields the number of replicas, within the scope of the strategy."""
    if keras.backend.backend() != "tensorflow" or distribution == "one_device":
        yield 1
        return
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices(
        "CPU"
    )
    if len(devices) == 1:
        yield 1
        return
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    with strategy.scope():
        yield strategy.num_replicas_in_sync


def _callbacks(trainee, plain, log, averaged, output_dir, seed):
    def save_plain(name):
        prepare.copy_weights(trainee, plain)
        plain.save_weights(name)

    callbacks = [
        cb.Reseed(seed),
        cb.StopAtNaN(output_dir),
        *([averaged] if averaged else []),
        log,
        cb.Checkpoint(output_dir, log, save_plain, averaged),
    ]
    if importlib.util.find_spec("tensorboard"):
        board = str(Path(output_dir, "tensorboard"))
        callbacks.append(keras.callbacks.TensorBoard(board, write_graph=False))
    return callbacks


def _monitor(model) -> str:
    """Name of the accuracy that is watched: the main output's."""
    if len(model.outputs) == 1:
        return "val_accuracy"
    return f"val_{model.output_names[0]}_accuracy"


def _resume(model, checkpoint, state, steps) -> int:
    """Loads the last checkpoint, if there is one; returns the epochs done."""
    start = checkpoint if checkpoint.exists() else state
    if start is None:
        return 0
    model.load_weights(start)
    return int(model.optimizer.iterations) // steps
