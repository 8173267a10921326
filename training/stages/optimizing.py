"""A run that optimises a trained network: its twin trained, files before and after."""

import dataclasses
from pathlib import Path

import keras

from keras_roots import export, graph, sparsity, tf_keras_twin
from keras_roots.tf_keras_twin import require_tfmot
from keras_roots.training import data, evaluation, runs, trainer
from keras_roots.training.stages.optimizing_methods import FORMS, METHODS, export_file
from keras_roots.training.trainer import Recipe


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is done to a network.

    Attributes:
        method: A key of `optimizing_methods.METHODS`.
        sparsity: Part of each kernel's weights that pruning makes zero.
        initial_sparsity: That part where pruning begins.
        begin: Part of the run, 0 to 1, after which pruning begins.
        end: Part of the run, 0 to 1, after which the sparsity is reached.
        clusters: Different weights that clustering leaves in a kernel.
        preserve_zeros: Whether weights that are zero stay zero in quantisation-aware
            training and clustering.
    """

    method: str
    sparsity: float = 0.8
    initial_sparsity: float = 0.0
    begin: float = 0.0
    end: float = 0.75
    clusters: int = 16
    preserve_zeros: bool = False


def optimize(
    model: keras.Model,
    dataset: data.Dataset,
    settings: Settings,
    output_dir: str,
    recipe: Recipe,
    *,
    start: dict | None = None,
    seed: int = 0,
    verbose: bool | None = None,
) -> tuple[dict, list[dict]]:
    """Optimises a network by training its twin, or goes on where a run stopped.

    Args:
        model: The trained network, which takes pixels 0 to 255 and ends in a softmax
            or in logits. It gets the weights that come back.
        dataset: What to train and measure on.
        settings: What to do.
        output_dir: Directory for everything that the run writes: `model.keras`, LiteRT
            files before and after, `table.csv`, `table.md` and `result.json`.
        recipe: How to train, in float32 and without averaged weights.
        start: Where the network came from, for the directory to remember.
        seed: Seed of everything random.
        verbose: Whether to show a progress bar; by default, on a terminal.

    Returns:
        What `result.json` holds, and the rows of `table.csv`, as
        `optimizing_files.measure` gives them.

    Raises:
        ValueError: An argument is impossible, the model cannot have a twin, the
            directory is another run's, or a file disagrees with its model.
        OSError: The directory cannot be written.
        FloatingPointError: Training diverged.
        ImportError: tensorflow-model-optimization or LiteRT is not installed.
    """
    require_tfmot()
    export.require_litert()
    trainer.check_layout()
    _check(model, settings, recipe)
    method = METHODS[settings.method]
    steps = data.steps_per_epoch(dataset.train, recipe.batch_size) * recipe.epochs
    before = evaluation.evaluate_on(evaluation.model_predictor(model), dataset)
    samples = dataset.train.sample(
        evaluation.CALIBRATION_IMAGES, model.input_shape[1], 0
    )
    dense = 1 - sparsity.sparsity_report(model).fraction
    trainer.set_seed(seed)
    held = _hold_zeros(model) if settings.preserve_zeros else model
    trainee = trainer.prepare(held, recipe)
    trained = method.make(trainee, settings, steps, samples)
    config = {"start": start, "dataset": dataset.name, "seed": seed}
    config |= {"settings": dataclasses.asdict(settings)}
    runs.claim_directory(output_dir, config | {"recipe": dataclasses.asdict(recipe)})
    paths = {
        (network, form): Path(output_dir, f"{network}-{form}.tflite")
        for network in ("before", settings.method)
        for form in FORMS
    }
    for form in FORMS:
        export_file(model, paths["before", form], form, samples)

    from keras_roots.training.stages import twin_training

    twin_training.fit(
        trained,
        model,
        dataset,
        recipe,
        output_dir,
        callbacks=[tf_keras_twin.pruning_callback()],
        seed=seed,
        verbose=verbose,
    )
    trainer.copy_weights(tf_keras_twin.from_tf_keras(trained, trainee), model)
    extra = method.export(model, trained, paths, samples, dataset)
    paths = {key: path for key, path in paths.items() if path.exists()}
    rows = evaluation.measure_twin_files(paths, dense, dataset, output_dir)
    result = trainer.finish(
        model,
        dataset,
        output_dir,
        method=settings.method,
        before_top1=before.top1,
        files={f"{row['network']} {row['format']}": row["top1"] for row in rows},
        sparsity=round(sparsity.sparsity_report(model).fraction, 4),
        epochs=recipe.epochs,
        seconds=trainer.seconds(output_dir),
        **extra,
    )
    return result, rows


def _hold_zeros(model):
    """Returns a copy of a network whose weights that are zero stay so in training."""
    if not sparsity.sparsity_report(model).zeros:
        raise ValueError(
            "`preserve_zeros` needs a network with weights that are zero. "
            f"Received: preserve_zeros=True, and model {model.name!r} without"
        )

    def change(layer):
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            return None
        zeros = sparsity.FixedZeros(
            keras.ops.convert_to_numpy(layer.kernel) != 0, layer.kernel_constraint
        )
        return {"kernel_constraint": zeros}

    return graph.reconfigure(model, change)


def _check(model, settings, recipe):
    if settings.method not in METHODS:
        raise ValueError(
            f"`method` must be one of {list(METHODS)}. "
            f"Received: method={settings.method!r}"
        )
    if not 0 <= settings.begin < settings.end <= 1:
        raise ValueError(
            "`begin` and `end` must be parts of the run, 0 to 1, in this order. "
            f"Received: begin={settings.begin}, end={settings.end}"
        )
    if recipe.precision != "float32" or recipe.ema:
        raise ValueError(
            "`recipe` must be in float32, and without averaged weights: twins know "
            f"neither. Received: precision={recipe.precision!r}, ema={recipe.ema}"
        )
    if len(model.outputs) != 1:
        raise ValueError(
            "`model` must have one output: build it without auxiliary heads. "
            f"Received: a model with {len(model.outputs)} outputs"
        )
