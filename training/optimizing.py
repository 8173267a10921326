"""Quantisation-aware training, pruning and clustering of a trained network."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras

import keras_roots
from keras_roots import sparsity, surgery, twin
from keras_roots.export import LiteRTModel, check, rewrites, runner
from keras_roots.training import (
    data,
    evaluation,
    fitting,
    formats,
    optimizing_files,
    output,
    pipeline,
)
from keras_roots.training.recipes import Recipe
from keras_roots.twin.requirements import require_tfmot

# Part of the test images on which the int8 file must name the training graph's class.
MIN_AGREEMENT = 0.95
_CHECK_IMAGES = 1000
_MASK_UPDATES = 50  # in the course of a pruning, but not more often than each step


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is done to a network.

    Attributes:
        method: A key of `METHODS`.
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
            files before and after, `table.csv` and `result.json`.
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
    runner.require_litert()
    fitting.check_layout()
    _check(model, settings, recipe)
    method = METHODS[settings.method]
    steps = pipeline.steps_per_epoch(dataset.train, recipe.batch_size) * recipe.epochs
    before = evaluation.evaluate_on(evaluation.model_predictor(model), dataset)
    samples = dataset.train.sample(formats.CALIBRATION_IMAGES, model.input_shape[1], 0)
    dense = 1 - sparsity.sparsity_report(model).fraction
    fitting.set_seed(seed)
    held = _hold_zeros(model) if settings.preserve_zeros else model
    trainee = fitting.prepare(held, recipe)
    trained = method.make(trainee, settings, steps, samples)
    config = {"start": start, "dataset": dataset.name, "seed": seed}
    config |= {"settings": dataclasses.asdict(settings)}
    output.claim_directory(output_dir, config | {"recipe": dataclasses.asdict(recipe)})
    paths = {
        (network, form): Path(output_dir, f"{network}-{form}.tflite")
        for network in ("before", settings.method)
        for form in ("float32", "int8")
    }
    for form in ("float32", "int8"):
        _export(model, paths["before", form], form, samples)

    from keras_roots.training import optimizing_fit

    optimizing_fit.fit(
        trained,
        model,
        dataset,
        recipe,
        output_dir,
        callbacks=[twin.pruning_callback()],
        seed=seed,
        verbose=verbose,
    )
    fitting.copy_weights(twin.from_tf_keras(trained, trainee), model)
    extra = method.export(model, trained, paths, samples, dataset)
    paths = {key: path for key, path in paths.items() if path.exists()}
    rows = optimizing_files.measure(paths, dense, dataset, output_dir)
    result = fitting.finish(
        model,
        dataset,
        output_dir,
        method=settings.method,
        before_top1=before.top1,
        files={f"{row['network']} {row['format']}": row["top1"] for row in rows},
        sparsity=round(sparsity.sparsity_report(model).fraction, 4),
        epochs=recipe.epochs,
        seconds=fitting.seconds(output_dir),
        **extra,
    )
    return result, rows


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to optimise a network, as data.

    Attributes:
        make: Function of a network that ends in logits, the settings, the steps of the
            run and sample images to the twin that is trained.
        export: Function of the network with the weights that came back, the trained
            twin, paths of files by network and format, sample images and the data set,
            which writes the files and returns further entries of the result.
        epochs: Epochs by default.
        rate: Learning rate by default, over that of the network's recipe.
    """

    make: Callable
    export: Callable
    epochs: int
    rate: float


def _quantizable(trainee, settings, steps, samples):
    return twin.quantizable(trainee, samples)


def _prunable(trainee, settings, steps, samples):
    begin = round(settings.begin * steps)
    end = max(begin + 1, round(settings.end * steps))
    return twin.prunable(
        trainee,
        settings.sparsity,
        end,
        begin,
        initial_sparsity=settings.initial_sparsity,
        frequency=max(1, (end - begin) // _MASK_UPDATES),
    )


def _clusterable(trainee, settings, steps, samples):
    return twin.clusterable(
        trainee, settings.clusters, preserve_zeros=settings.preserve_zeros
    )


def _export_quantized(model, trained, paths, samples, dataset):
    """Writes the int8 file with the trained ranges, and compares it with the twin."""
    path = paths["qat", "int8"]
    _export_int8(model, path, samples, ranges=trained)
    images = dataset.test.sample(_CHECK_IMAGES, model.input_shape[1], 0)
    (expected,) = check.reference_outputs(trained, images)
    if _ends_in_softmax(model):
        expected = keras.ops.convert_to_numpy(keras.ops.softmax(expected))
    agreement = check.compare(
        LiteRTModel(path).predict(images), [expected], min_agreement=MIN_AGREEMENT
    )
    return {"agreement": dataclasses.asdict(agreement)}


def _export_pruned(model, trained, paths, samples, dataset):
    for form in ("float32", "int8"):
        _export(model, paths["prune", form], form, samples)
    return {}


def _export_clustered(model, trained, paths, samples, dataset):
    """Writes the int8 file with a scale per kernel, which keeps clusters together."""
    _export(model, paths["cluster", "float32"], "float32", samples)
    _export_int8(model, paths["cluster", "int8"], samples, per_filter=False)
    return {}


METHODS = {
    "qat": Method(_quantizable, _export_quantized, epochs=3, rate=1 / 20),
    "prune": Method(_prunable, _export_pruned, epochs=10, rate=1 / 10),
    "cluster": Method(_clusterable, _export_clustered, epochs=3, rate=1 / 100),
}


def _export(model, path, form, images):
    """Exports as `formats.export` does: zeros survive its rewrites."""
    quantize = None if form == "float32" else form
    keras_roots.export_tflite(model, path, quantize, images, **formats.EXPORT)


def _export_int8(model, path, images, **how):
    """Exports by a twin, after the same rewrites."""
    optimize, target = formats.EXPORT["optimize"], formats.EXPORT["target"]
    rewritten, _ = rewrites.rewrite(model, optimize, "int8", target)
    twin.export_int8(twin.quantizable(rewritten, images, **how), path, images)


def _hold_zeros(model):
    """Returns a copy of a network whose weights that are zero stay so in training."""
    if not sparsity.sparsity_report(model).zeros:
        raise ValueError(
            "`preserve_zeros` needs a network with weights that are zero. "
            f"Received: preserve_zeros=True, and model {model.name!r} without"
        )

    def replace(layer):
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            return None
        zeros = sparsity.FixedZeros(
            keras.ops.convert_to_numpy(layer.kernel) != 0, layer.kernel_constraint
        )
        config = {**layer.get_config(), "kernel_constraint": zeros}
        return layer.__class__.from_config(config)

    return surgery.rewrite(model, replace)


def _ends_in_softmax(model) -> bool:
    (layer,) = fitting._output_layers(model)
    return (
        isinstance(layer, keras.layers.Softmax)
        or layer.get_config().get("activation") == "softmax"
    )


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
