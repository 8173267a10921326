"""The stage that trains a twin for int8, or with fewer or shared weights.

By tensorflow-model-optimization, on a twin of the network in tf_keras.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import keras

import keras_roots
from keras_roots import export, graph, layers, sparsity, tf_keras_twin
from keras_roots.export import LiteRTModel
from keras_roots.training import data, evaluation, trainer
from keras_roots.training.options import option, options
from keras_roots.training.stages.stage import Stage
from keras_roots.training.trainer import Recipe

FORMS = ("float32", "int8")  # of the files
# Part of the test images on which the int8 file must name the training graph's class.
MIN_AGREEMENT = 0.95
_CHECK_IMAGES = 1000
_MASK_UPDATES = 50  # in the course of a pruning, but not more often than each step


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to optimise a network, as data.

    Attributes:
        make: Function of a network that ends in logits, the settings, the steps of the
            run and sample images to the twin that is trained.
        export: Function of the network with the trained weights, the trained twin,
            paths of files by network and format, sample images and the data set, which
            writes the files and returns further entries of the result.
        epochs: Epochs by default.
        rate: Learning rate by default, over that of the network's recipe.
    """

    make: Callable
    export: Callable
    epochs: int
    rate: float


def _quantizable(trainee, settings, steps, samples):
    return tf_keras_twin.quantizable(trainee, samples)


def _prunable(trainee, settings, steps, samples):
    begin = round(settings.begin * steps)
    end = max(begin + 1, round(settings.end * steps))
    return tf_keras_twin.prunable(
        trainee,
        settings.sparsity,
        end,
        begin,
        initial_sparsity=settings.initial_sparsity,
        frequency=max(1, (end - begin) // _MASK_UPDATES),
    )


def _clusterable(trainee, settings, steps, samples):
    return tf_keras_twin.clusterable(
        trainee, settings.clusters, preserve_zeros=settings.preserve_zeros
    )


def _export_quantized(model, trained, paths, samples, dataset):
    """Writes the int8 file with the trained ranges, and compares it with the twin."""
    path = paths["qat", "int8"]
    _export_int8(model, path, samples, ranges=trained)
    images = dataset.test.sample(_CHECK_IMAGES, model.input_shape[1], 0)
    (expected,) = export.reference_outputs(trained, images)
    if _ends_in_softmax(model):
        expected = keras.ops.convert_to_numpy(keras.ops.softmax(expected))
    agreement = export.compare_outputs(
        LiteRTModel(path).predict(images), [expected], min_agreement=MIN_AGREEMENT
    )
    return {"agreement": dataclasses.asdict(agreement)}


def _export_pruned(model, trained, paths, samples, dataset):
    for form in FORMS:
        export_file(model, paths["prune", form], form, samples)
    return {}


def _export_clustered(model, trained, paths, samples, dataset):
    """Writes the int8 file with a scale per kernel, which keeps clusters together."""
    export_file(model, paths["cluster", "float32"], "float32", samples)
    _export_int8(model, paths["cluster", "int8"], samples, per_filter=False)
    return {}


METHODS = {
    "qat": Method(_quantizable, _export_quantized, epochs=3, rate=1 / 20),
    "prune": Method(_prunable, _export_pruned, epochs=10, rate=1 / 10),
    "cluster": Method(_clusterable, _export_clustered, epochs=3, rate=1 / 100),
}


@options
class Optimization:
    """What is done to a network by tensorflow-model-optimization."""

    method: str = option("qat", "What to do.", choices=tuple(METHODS))
    sparsity: float = option(0.8, "Part of each kernel's weights to be zero.")
    initial_sparsity: float = option(0.0, "That part where pruning begins.")
    begin: float = option(0.0, "Part of the run after which pruning begins.")
    end: float = option(0.75, "Part of the run after which the sparsity is reached.")
    clusters: int = option(16, "Different weights that a kernel keeps.")
    preserve_zeros: bool = option(
        False, "Whether weights that are zero stay zero, after pruning."
    )

    def __post_init__(self):
        if not 0 <= self.begin < self.end <= 1:
            raise ValueError(
                "`begin` and `end` must be parts of the run, 0 to 1, in this order. "
                f"Received: begin={self.begin}, end={self.end}"
            )


# Fields of recipes that the training of twins does not know.
_UNKNOWN = ("frozen_epochs", "body_rate", "class_weight", "patience")


@dataclasses.dataclass(frozen=True)
class Optimize(Stage):
    """Optimises the network by training its twin, and measures files before and after.

    Attributes:
        settings: What to do.
        recipe: How to train, in float32 and without averaged weights.
    """

    name: str = ""
    settings: Optimization = Optimization()
    recipe: Recipe | None = None

    def check(self):
        """As for every stage; the packages must be installed."""
        tf_keras_twin.require_tfmot()
        export.require_litert()
        recipe = self.recipe
        if recipe.precision != "float32" or recipe.ema or recipe.initial_size:
            raise ValueError(
                "`recipe` must be in float32, without averaged weights and an initial "
                "size of images: twins know none of them. Received: "
                f"precision={recipe.precision!r}, ema={recipe.ema}, "
                f"initial_size={recipe.initial_size}"
            )
        given = {name: getattr(recipe, name) for name in _UNKNOWN}
        given = {name: value for name, value in given.items() if value is not None}
        if given:
            raise ValueError(
                f"Twins are trained without {', '.join(_UNKNOWN)}. Received: "
                + ", ".join(f"{name}={value!r}" for name, value in given.items())
            )

    def run(self, model, folder, context):
        """As for every stage; writes LiteRT files, `table.csv` and `table.md`."""
        if len(model.outputs) != 1:
            raise ValueError(
                "`model` must have one output: build it without auxiliary heads. "
                f"Received: a model with {len(model.outputs)} outputs"
            )
        method, name = METHODS[self.settings.method], self.settings.method
        dataset, epochs = context.dataset, self.recipe.epochs
        steps = data.steps_per_epoch(dataset.train, self.recipe.batch_size) * epochs
        before = evaluation.evaluate_on(evaluation.model_predictor(model), dataset)
        samples = dataset.train.sample(
            evaluation.CALIBRATION_IMAGES, model.input_shape[1], 0
        )
        dense = 1 - sparsity.sparsity_report(model).fraction
        held = _hold_zeros(model) if self.settings.preserve_zeros else model
        trainee = trainer.prepare(held, self.recipe)
        twin = method.make(trainee, self.settings, steps, samples)
        paths = {
            (network, form): Path(folder, f"{network}-{form}.tflite")
            for network in ("before", name)
            for form in FORMS
        }
        for form in FORMS:
            export_file(model, paths["before", form], form, samples)

        # Its classes are subclasses of tf_keras's, which need not be installed.
        from keras_roots.training.stages import twin_training

        twin_training.fit(
            twin,
            model,
            dataset,
            self.recipe,
            folder,
            callbacks=[tf_keras_twin.pruning_callback()],
            seed=context.seed,
            verbose=context.verbose,
        )
        trainer.copy_weights(tf_keras_twin.from_tf_keras(twin, trainee), model)
        extra = method.export(model, twin, paths, samples, dataset)
        paths = {key: path for key, path in paths.items() if path.exists()}
        rows = evaluation.measure_twin_files(paths, dense, dataset, folder)
        return model, {
            "method": name,
            "before_top1": before.top1,
            "files": {f"{row['network']} {row['format']}": row["top1"] for row in rows},
            "sparsity": round(sparsity.sparsity_report(model).fraction, 4),
            "epochs": epochs,
            "seconds": trainer.seconds(folder),
            **extra,
        }


def export_file(model: keras.Model, path: str | os.PathLike, form: str, images) -> None:
    """Exports a network as it is released: zeros survive its rewrites.

    Args:
        model: The network.
        path: The file, whose folder exists.
        form: One of `FORMS`.
        images: What to calibrate with and to check on, `(n, height, width, channels)`,
            0 to 255.

    Raises:
        ValueError: The file does not agree with the network.
        OSError: The file cannot be written.
    """
    quantize = None if form == "float32" else form
    keras_roots.export_tflite(model, path, quantize, images, **evaluation.EXPORT)


def _export_int8(model, path, images, **how):
    """Exports by a twin, after the same rewrites."""
    rewritten, _ = export.rewrite(model, evaluation.EXPORT["optimize"], "int8")
    twin = tf_keras_twin.quantizable(rewritten, images, **how)
    tf_keras_twin.export_int8(twin, path, images)


def _ends_in_softmax(model) -> bool:
    (layer,) = graph.output_layers(model)
    return (
        isinstance(layer, keras.layers.Softmax)
        or layer.get_config().get("activation") == "softmax"
    )


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
        zeros = layers.FixedZeros(
            keras.ops.convert_to_numpy(layer.kernel) != 0, layer.kernel_constraint
        )
        return {"kernel_constraint": zeros}

    return graph.reconfigure(model, change)
