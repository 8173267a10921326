"""SavedModels whose grouped convolutions run in one given way, or as the host can."""

import keras

from keras_roots import graph
from keras_roots.export import host
from keras_roots.layers import GroupedConv2D


def is_grouped(layer) -> bool:
    """Tells whether a layer is a convolution with groups that can be rewritten."""
    return type(layer) in (keras.layers.Conv2D, GroupedConv2D) and layer.groups > 1


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
        ValueError: The model is subclassed.
    """
    import tensorflow as tf

    def replace(layer):
        if not is_grouped(layer):
            return None
        return GroupedConv2D.from_config(graph.configuration(layer))

    model = graph.rewrite(model, replace)
    grouped = [layer for _, layer in graph.operations(model) if is_grouped(layer)]
    # Not `model.export`, which stores every weight twice.
    saved = tf.Module()
    saved.weights = [weight.value for weight in model.weights]

    def compute(images, lowering):
        for layer in grouped:
            layer.lowering = lowering
        return model(images, training=False)

    if lowering == "auto" and grouped:
        saved.choice = host.make_choice({_kind(layer) for layer in grouped})

        def serve(images):
            return tf.cond(
                host.has_native(saved.choice),
                lambda: compute(images, "native"),
                lambda: compute(images, "split"),
            )
    else:

        def serve(images):
            return compute(images, lowering)

    image = model.inputs[0]
    signature = tf.TensorSpec((batch_size, *image.shape[1:]), image.dtype, "images")
    saved.serve = tf.function(serve, [signature], autograph=False)
    tf.saved_model.save(saved, folder, saved.serve)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns the model, or a copy that computes in float32 what it does in less."""

    def change(layer):
        policy = getattr(layer, "dtype_policy", None)
        if getattr(policy, "compute_dtype", None) in ("bfloat16", "float16"):
            return {"dtype": "float32"}
        return None

    reduced = any(change(layer) for _, layer in graph.operations(model))
    return graph.reconfigure(model, change) if reduced else model


def _kind(layer) -> host.Kind:
    return host.Kind(
        layer.compute_dtype, layer.data_format, max(layer.dilation_rate) > 1
    )
