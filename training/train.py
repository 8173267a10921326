r"""Trains a model of the zoo.

Example, on the embedded digits (a minute on two cores):

  keras-roots-train --model=root_nin --root=8 --output_dir=runs/digits-root8

and on CIFAR-10, which TensorFlow Datasets downloads:

  keras-roots-train --model=root_nin --root=8 --dataset=cifar10 \
      --output_dir=runs/cifar10-root8

A run that was stopped goes on when the same command is given again. The output
directory holds config.json, log.csv, last.weights.h5 (state of the last epoch, with the
optimiser's), best.weights.h5 and, at the end, model.keras and result.json.
"""

import contextlib
import dataclasses
import importlib.util
import inspect
import json
import sys
from pathlib import Path

import keras
import numpy as np
from absl import flags

import keras_roots
from keras_roots import files, layers, surgery
from keras_roots.models import registry
from keras_roots.training import callbacks as cb
from keras_roots.training import data, evaluation, output, pipeline
from keras_roots.training import flags as shared
from keras_roots.training.augment import AUGMENTATIONS, get_augmentation
from keras_roots.training.recipes import PRECISIONS, SCHEDULES, Recipe, get_recipe
from keras_roots.training.schedules import make_schedule


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes; what its directory remembers.

    Attributes:
        model: Registry name of the model.
        root: Its filter groups.
        topology: Its topology.
        dataset: Data set, as for `open_dataset`.
        recipe: How it is trained.
        weights: Weights to start from, if any.
        image_size: Height and width of the images in pixels, if not the default.
        holdout: Training images held out for evaluation.
        seed: Seed of everything random.
        deterministic: Whether operations must be bit-reproducible.
    """

    model: str
    root: int | tuple[int, ...]
    dataset: str
    recipe: Recipe
    topology: str = "root"
    weights: str | None = None
    image_size: int | None = None
    holdout: int = 0
    seed: int = 0
    deterministic: bool = False


def train(
    config: Config,
    output_dir: str,
    *,
    data_dir: str | None = None,
    distribution: str = "mirrored",
    verbose: bool | None = None,
) -> dict:
    """Trains a model, or goes on training it where a stopped run left it.

    Args:
        config: What to train, and how.
        output_dir: Directory for everything the run writes; it must be new, empty or
            of a run of the same configuration.
        data_dir: Where TensorFlow Datasets keeps its data sets.
        distribution: `"mirrored"` (all local devices, on TensorFlow) or
            `"one_device"`.
        verbose: Whether to show a progress bar; by default, on a terminal.

    Returns:
        What `result.json` holds: the accuracy on the test split, and what it took.

    Raises:
        ValueError: The configuration is impossible, or the directory another run's.
        OSError: The directory cannot be written.
        FloatingPointError: Training diverged; the last good checkpoint is kept.
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "Training takes images with their channels last. Received: "
            f"image_data_format={keras.config.image_data_format()!r}"
        )
    recipe = config.recipe
    augmentation = get_augmentation(recipe.augmentation)
    constructor = registry.get_constructor(config.model)
    dataset = data.open_dataset(config.dataset, data_dir, config.holdout)
    steps = pipeline.steps_per_epoch(dataset.train, recipe.batch_size)
    keras.utils.set_random_seed(config.seed)
    if config.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    arguments = {
        "root": config.root,
        "topology": config.topology,
        "classes": len(dataset.class_names),
    }
    size = config.image_size or dataset.image_size
    if size is not None:
        arguments["input_shape"] = (size, size, 3)
    plain = constructor(weights=config.weights, **arguments)
    image_size = plain.input_shape[1]
    resuming = output.claim_directory(output_dir, dataclasses.asdict(config))

    with _scope(distribution) as replicas:
        if "aux_heads" in inspect.signature(constructor).parameters:
            arguments["aux_heads"] = True
        trainee = constructor(classifier_activation=None, **arguments)
        copy_weights(plain, trainee)
        trainee = prepare(trainee, recipe, synchronized=replicas > 1)
        compile_model(trainee, recipe, steps * recipe.epochs)
        first_epoch = _resume(trainee, output_dir, steps) if resuming else 0

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
    followers = _callbacks(trainee, plain, log, averaged, output_dir, config.seed)
    batches = {
        "batch_size": recipe.batch_size,
        "image_size": image_size,
        "classes": len(dataset.class_names),
        "outputs": len(trainee.outputs),
    }
    if first_epoch < recipe.epochs:
        trainee.fit(
            pipeline.train_batches(
                dataset.train,
                augmentation=augmentation,
                fill=_mean_colour(plain),
                seed=config.seed,
                epochs=range(first_epoch, recipe.epochs),
                **batches,
            ),
            steps_per_epoch=steps,
            initial_epoch=first_epoch,
            epochs=recipe.epochs,
            validation_data=pipeline.evaluation_batches(dataset.evaluation, **batches),
            validation_batch_size=recipe.batch_size,
            shuffle=False,  # the batches are shuffled already, reproducibly
            callbacks=followers,
            verbose=1 if verbose else 0,
        )
    with cb.averaged_weights(averaged):
        copy_weights(trainee, plain)
    return _finish(plain, dataset, log, recipe, output_dir)


def prepare(model: keras.Model, recipe: Recipe, *, synchronized=False) -> keras.Model:
    """Returns a model as a recipe trains it: with its decay, precision and BatchNorm.

    Each BatchNormalization becomes the package's own, which trains faster.

    Args:
        model: The constructor's model, without an activation on its outputs.
        recipe: The recipe: weight decay and precision.
        synchronized: Whether BatchNorm takes its statistics from all replicas.
    """
    multipliers = dict(recipe.decay_multipliers)

    def replace(layer):
        kind = layer.__class__
        changes = {}
        decay = recipe.weight_decay * multipliers.get(layer.name, 1.0)
        weighted = isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
        if weighted and decay:
            changes["kernel_regularizer"] = keras.regularizers.L2(decay / 2)
        if isinstance(layer, keras.layers.BatchNormalization):
            kind = layers.BatchNormalization
            if synchronized:
                changes["synchronized"] = True
        if recipe.precision == "mixed_bfloat16" or (
            recipe.precision == "conv_bfloat16"
            and isinstance(layer, keras.layers.Conv2D)
        ):
            changes["dtype"] = "mixed_bfloat16"
        if isinstance(layer, keras.layers.Rescaling) or layer.output in model.outputs:
            changes.pop("dtype", None)  # pixels and logits keep their precision
        if not changes and kind is layer.__class__:
            return None
        return kind.from_config({**layer.get_config(), **changes})

    return surgery.rewrite(model, replace)


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Compiles a model with a recipe's loss and optimiser.

    Args:
        model: Model whose outputs are logits: the main one, then auxiliary ones.
        recipe: The recipe.
        steps: Steps of the whole run.
    """
    optimizer = keras.optimizers.SGD(
        make_schedule(recipe, steps),
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        use_ema=recipe.ema > 0,
        ema_momentum=recipe.ema or 0.99,
    )
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing
    )
    auxiliary = len(model.outputs) - 1
    if auxiliary:
        model.compile(
            optimizer,
            loss=[loss] * (1 + auxiliary),
            loss_weights=[1.0] + [recipe.auxiliary_weight] * auxiliary,
            metrics=[["accuracy"]] + [[]] * auxiliary,
        )
    else:
        model.compile(optimizer, loss=loss, metrics=["accuracy"])
    optimizer.build(model.trainable_variables)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies weights between models of one architecture, layer by name.

    Layers that only one of them has, such as auxiliary heads, are left alone.
    """
    names = {layer.name for layer in source.layers}
    for layer in target.layers:
        if layer.name in names and layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())


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
        copy_weights(trainee, plain)
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


def _resume(model, output_dir, steps) -> int:
    """Loads the last checkpoint, if there is one; returns the epochs done."""
    checkpoint = Path(output_dir, cb.LAST)
    if not checkpoint.exists():
        return 0
    model.load_weights(checkpoint)
    return int(model.optimizer.iterations) // steps


def _mean_colour(model):
    """The colour that the model's normalisation maps to zero."""
    layer = model.get_layer("normalization")
    return -np.array(layer.offset, "float32") / np.array(layer.scale, "float32")


def _finish(plain, dataset, log, recipe, output_dir) -> dict:
    with files.replacing(Path(output_dir, "model.keras")) as name:
        plain.save(name)
    score = evaluation.evaluate_on(
        evaluation.model_predictor(plain), dataset, batch_size=recipe.batch_size
    )
    profile = keras_roots.profile(plain)
    result = {
        "model": plain.name,
        "dataset": dataset.name,
        **dataclasses.asdict(score),
        "macs": profile.macs,
        "params": profile.params,
        "epochs": recipe.epochs,
        "seconds": round(sum(float(row["seconds"]) for row in log.rows), 1),
    }
    files.write_text(
        Path(output_dir, "result.json"), json.dumps(result, indent=2) + "\n"
    )
    return result


_SHARED_FLAGS = (
    "model",
    "root",
    "topology",
    "weights",
    "dataset",
    "data_dir",
    "image_size",
    "output_dir",
    "batch_size",
    "seed",
)
_RECIPE_FLAGS = {
    "epochs": (flags.DEFINE_integer, "Passes over the training images."),
    "learning_rate": (flags.DEFINE_float, "Highest learning rate."),
    "schedule": (
        lambda *flag: flags.DEFINE_enum(*flag[:2], SCHEDULES, *flag[2:]),
        "Learning-rate schedule.",
    ),
    "warmup": (flags.DEFINE_float, "Part of the run over which the rate rises."),
    "momentum": (flags.DEFINE_float, "Momentum of SGD."),
    "weight_decay": (flags.DEFINE_float, "Coupled weight decay of the kernels."),
    "label_smoothing": (flags.DEFINE_float, "Label smoothing."),
    "augmentation": (
        lambda *flag: flags.DEFINE_enum(*flag[:2], list(AUGMENTATIONS), *flag[2:]),
        "How training images are varied.",
    ),
    "ema": (flags.DEFINE_float, "Momentum of a moving average of the weights."),
    "precision": (
        lambda *flag: flags.DEFINE_enum(*flag[:2], PRECISIONS, *flag[2:]),
        "Arithmetic of the training.",
    ),
}


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    for name, (define, text) in _RECIPE_FLAGS.items():
        define(name, None, f"{text} By default, the recipe's.")
    flags.DEFINE_integer(
        "holdout",
        0,
        "Training images to hold out and evaluate on instead of the test images.",
    )
    flags.DEFINE_enum(
        "distribution",
        "mirrored",
        ["mirrored", "one_device"],
        "tf.distribute strategy: mirrored over all local devices, or one device.",
    )
    flags.DEFINE_bool(
        "deterministic",
        False,
        "Whether the same run gives the same weights, bit for bit.",
    )
    own = ("holdout", "distribution", "deterministic")
    return (*_SHARED_FLAGS, *_RECIPE_FLAGS, *own)


def main(argv) -> None:
    """Trains as the flags say and prints the result."""
    del argv
    values = shared.FLAGS
    if not values.output_dir:
        raise ValueError("--output_dir is required: a folder for what the run writes")
    changes = {name: values[name].value for name in (*_RECIPE_FLAGS, "batch_size")}
    config = Config(
        model=values.model,
        root=values.root,
        topology=values.topology,
        dataset=values.dataset,
        recipe=get_recipe(values.model, values.dataset, **changes),
        weights=values.weights,
        image_size=values.image_size,
        holdout=values.holdout,
        seed=values.seed,
        deterministic=values.deterministic,
    )
    result = train(
        config,
        values.output_dir,
        data_dir=values.data_dir,
        distribution=values.distribution,
    )
    print(json.dumps(result, indent=2))


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())
