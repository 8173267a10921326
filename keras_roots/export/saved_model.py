"""SavedModels: written, with or without a check against the Keras model."""

import dataclasses
import os
from collections.abc import Iterator

import keras
import numpy as np

from keras_roots import graph, utils
from keras_roots.export import check, host, images, signature
from keras_roots.export.agreement import Agreement
from keras_roots.layers import LOWERINGS, GroupedConv2D, native_works
from keras_roots.utils import checks

_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class SavedModelReport(check.ExportReport):
    """What `export_saved_model` wrote; prints as a table.

    Attributes:
        lowering: How it computes filter groups.
        compared: The ways to compute them that were compared with the model; the
            figures are of the one that differs most.
    """

    lowering: str
    compared: tuple[str, ...]

    def lines(self) -> list[tuple[str, str]]:
        """Returns what `print` shows, as names and values."""
        groups = self.lowering
        if self.compared != (groups,):
            groups += f" (compared: {', '.join(self.compared)})"
        return [("filter groups", groups), *super().lines()]

    __str__ = Agreement.__str__


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    lowering: str = "auto",
    *,
    check_data=None,
    tolerance: float | None = None,
) -> SavedModelReport:
    """Writes a model as a SavedModel for serving, and checks it against the model.

    Its signature `serving_default` takes batches of any size; inputs and outputs have
    the names that `export_tflite` gives them. Layers in mixed precision
    compute in float32 (and so does the model for the comparison). It is written under a
    temporary name, loaded back and compared with the model; only then is it moved
    into place, so that an export that fails leaves nothing behind.

    Args:
        model: A functional or Sequential model with inputs of a fixed size.
        path: Folder to write; a SavedModel that is there already is replaced.
        lowering: How to compute filter groups. `"auto"` lets the host choose when it
            loads the SavedModel: by TensorFlow's grouped convolution where that works,
            else one by one. `"native"` holds the grouped convolution alone, which needs
            a GPU, or a CPU on which TensorFlow uses oneDNN; `"split"` holds one
            convolution per group alone. Both are plain graphs, for tools that convert
            or compile SavedModels.
        check_data: Images to compare on, `(n, height, width, channels)`, or an iterable
            of batches of them; for several inputs, a tuple of arrays in their order or
            a dictionary by name; by default random numbers.
        tolerance: Largest difference from the model allowed, as a part of the range of
            the output; by default 1e-3.

    Returns:
        A `SavedModelReport`: differences from the model and size. It prints as a table.

    Raises:
        ValueError: An argument is impossible; images have the wrong shape; the
            SavedModel differs from the model by more than `tolerance`, gives NaN, or
            the same output for all images where the model's differ (an `ExportError`);
            Keras runs on another backend.
        OSError: The folder cannot be written.
        ImportError: TensorFlow is not installed.

    Example:
        >>> print(export_saved_model(model, "net"))
    """
    path = checks.path("path", path, required=True)
    checks.choice("lowering", lowering, LOWERINGS)
    check.check_limits(tolerance)
    check.require_tensorflow()
    images.check_sizes(model)
    signature.input_names(model)
    _check_place(path)
    if lowering == "native":
        _check_native()
    if check_data is None:
        check_data = images.random_samples(model)
    else:
        check_data = images.as_samples(check_data, model, "check_data")
    model = in_float32(model)
    with utils.replacing(path, folder=True) as temporary:
        write_saved_model(model, temporary, lowering)
        expected = check.reference_outputs(model, check_data)
        agreements = {
            way: check.compare(
                outputs, expected, tolerance=tolerance, default=_TOLERANCE
            )
            for way, outputs in _outputs(temporary, model, check_data, lowering)
        }
    worst = max(agreements.values(), key=lambda found: found.relative_difference)
    return SavedModelReport(
        **dataclasses.asdict(worst),
        path=path,
        file_size=utils.file_size(path),
        lowering=lowering,
        compared=tuple(agreements),
    )


def write_saved_model(
    model: keras.Model, folder: str, lowering: str, batch_size: int | None = None
) -> None:
    """Writes a model as a SavedModel, without any check.

    Its one signature is `serving_default`. The model is traced, not run: this machine
    need not be able to run it.

    Args:
        model: A functional or Sequential model. Its `keras.layers.Conv2D` with groups
            change too: TensorFlow would otherwise compile them with XLA.
        folder: Where to write it.
        lowering: `"split"` or `"native"` as for `GroupedConv2D`; or `"auto"` for both,
            over the same weights, and an attribute `choice` in which the host that
            loads the SavedModel keeps which it can run (see `host`).
        batch_size: Images per call, `None` for any number.

    Raises:
        ValueError: The model is subclassed, or another argument is impossible.
        OSError: The folder cannot be written.
    """
    folder = checks.path("folder", folder, required=True)
    checks.choice("lowering", lowering, LOWERINGS)
    if batch_size is not None:
        batch_size = checks.integer("batch_size", batch_size)
    import tensorflow as tf

    def replace(layer):
        if not is_grouped(layer):
            return None
        return GroupedConv2D.from_config(graph.configuration(layer))

    model = graph.rewrite(model, replace)
    grouped = [layer for _, layer in graph.operations(model) if is_grouped(layer)]
    # Not `model.export`, which stores every weight twice.
    saved = tf.Module()
    # States of seeds are variables too.
    saved.weights = [variable.value for variable in model.variables]
    names = signature.output_names(model)

    def compute(inputs, lowering):
        for layer in grouped:
            layer.lowering = lowering
        outputs = model(signature.packed(model, inputs), training=False)
        return dict(zip(names, keras.tree.flatten(outputs), strict=True))

    if lowering == "auto" and grouped:
        saved.choice = host.make_choice({_kind(layer) for layer in grouped})

        def serve(*inputs):
            return tf.cond(
                host.has_native(saved.choice),
                lambda: compute(inputs, "native"),
                lambda: compute(inputs, "split"),
            )
    else:

        def serve(*inputs):
            return compute(inputs, lowering)

    specifications = [
        tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype, name)
        for name, tensor in zip(signature.input_names(model), model.inputs, strict=True)
    ]
    saved.serve = tf.function(serve, specifications, autograph=False)
    serving = saved.serve.get_concrete_function()
    try:
        tf.saved_model.save(saved, folder, serving)
    except tf.errors.OpError as error:
        raise OSError(
            f"`folder` cannot be written. Received: folder={folder!r}; TensorFlow "
            f"failed with: {error.message}"
        ) from error


def in_float32(model: keras.Model) -> keras.Model:
    """Returns the model, or a copy that computes in float32 what it does in less."""

    def change(layer):
        policy = getattr(layer, "dtype_policy", None)
        if getattr(policy, "compute_dtype", None) in ("bfloat16", "float16"):
            return {"dtype": "float32"}
        return None

    reduced = any(change(layer) for _, layer in graph.operations(model))
    return graph.reconfigure(model, change) if reduced else model


def is_grouped(layer) -> bool:
    """Tells whether a layer is a convolution with groups that can be rewritten."""
    return graph.is_a(layer, keras.layers.Conv2D) and layer.groups > 1


def _outputs(
    folder, model, samples, lowering
) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yields the ways in which a SavedModel can compute here, each with its outputs."""
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    serve = loaded.signatures["serving_default"]
    choice = getattr(loaded, "choice", None)
    inputs = {
        name: tf.constant(array, tensor.dtype)
        for (name, array), tensor in zip(
            signature.by_name(model, samples.arrays).items(), model.inputs, strict=True
        )
    }
    # One image, then the others: batches may be of any size.
    parts = [slice(0, 1), slice(1, None)][: len(samples)]
    for way in [lowering] if choice is None else host.each_choice(choice):
        found = [
            serve(**{name: tensor[part] for name, tensor in inputs.items()})
            for part in parts
        ]
        yield (
            way,
            [
                np.concatenate([part[name].numpy() for part in found])
                for name in signature.in_order(found[0])
            ],
        )


def _check_place(path):
    if os.path.isdir(path) and os.listdir(path):
        if not os.path.exists(os.path.join(path, "saved_model.pb")):
            raise FileExistsError(
                "`path` must be a new folder, an empty one or a SavedModel to replace. "
                f"Received: path={os.fspath(path)!r}, which holds other files"
            )


def _check_native():
    import tensorflow as tf

    device = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    layout = keras.config.image_data_format()
    if not native_works(device, "float32", layout, dilated=False):
        raise ValueError(
            "`lowering` 'native' cannot be checked on this machine, whose TensorFlow "
            f"has no grouped convolution for its {device}. TF_ENABLE_ONEDNN_OPTS=1 in "
            "the environment may turn it on; 'split' works everywhere. "
            "Received: lowering='native'"
        )


def _kind(layer) -> host.Kind:
    return host.Kind(
        layer.compute_dtype, layer.data_format, max(layer.dilation_rate) > 1
    )
