"""What quantisation-aware training, pruning and clustering train, and export."""

import dataclasses
import os
from collections.abc import Callable

import keras
import numpy as np

import keras_roots
from keras_roots import tf_keras_twin
from keras_roots.export import LiteRTModel, compare_outputs, reference_outputs, rewrite
from keras_roots.training import evaluation, trainer

FORMS = ("float32", "int8")  # of the files
# Part of the test images on which the int8 file must name the training graph's class.
MIN_AGREEMENT = 0.95
_CHECK_IMAGES = 1000
_MASK_UPDATES = 50  # in the course of a pruning, but not more often than each step


def export_file(
    model: keras.Model, path: str | os.PathLike, form: str, images: np.ndarray
) -> None:
    """Exports a network as `formats.export` does: zeros survive its rewrites.

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
    (expected,) = reference_outputs(trained, images)
    if _ends_in_softmax(model):
        expected = keras.ops.convert_to_numpy(keras.ops.softmax(expected))
    agreement = compare_outputs(
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


def _export_int8(model, path, images, **how):
    """Exports by a twin, after the same rewrites."""
    optimize, target = evaluation.EXPORT["optimize"], evaluation.EXPORT["target"]
    rewritten, _ = rewrite(model, optimize, "int8", target)
    tf_keras_twin.export_int8(
        tf_keras_twin.quantizable(rewritten, images, **how), path, images
    )


def _ends_in_softmax(model) -> bool:
    (layer,) = trainer.output_layers(model)
    return (
        isinstance(layer, keras.layers.Softmax)
        or layer.get_config().get("activation") == "softmax"
    )


METHODS = {
    "qat": Method(_quantizable, _export_quantized, epochs=3, rate=1 / 20),
    "prune": Method(_prunable, _export_pruned, epochs=10, rate=1 / 10),
    "cluster": Method(_clusterable, _export_clustered, epochs=3, rate=1 / 100),
}
