"""SavedModels whose grouped convolutions all run in one given way."""

import keras

from keras_roots import surgery
from keras_roots.layers import GroupedConv2D


def is_grouped(layer) -> bool:
    """Tells whether a layer is a convolution with groups that can be rewritten."""
    return type(layer) in (keras.layers.Conv2D, GroupedConv2D) and layer.groups > 1


def write_saved_model(
    model: keras.Model, folder: str, lowering: str, batch_size: int | None = None
) -> None:
    """Writes a model as a SavedModel, without any check.

    The model is traced, not run: this machine need not be able to run it.

    Args:
        model: A functional or Sequential model. Its `keras.layers.Conv2D` with groups
            change too: TensorFlow would otherwise compile them with XLA.
        folder: Where to write it.
        lowering: As for `GroupedConv2D`.
        batch_size: Images per call, `None` for any number.

    Raises:
        ValueError: The model is subclassed.
    """

    def replace(layer):
        if not is_grouped(layer):
            return None
        return GroupedConv2D.from_config({**layer.get_config(), "lowering": lowering})

    image = model.inputs[0]
    images = keras.InputSpec(
        shape=(batch_size, *image.shape[1:]), dtype=image.dtype, name="images"
    )
    surgery.rewrite(model, replace).export(
        folder, verbose=False, input_signature=[images]
    )


def in_float32(model: keras.Model) -> keras.Model:
    """Returns the model, or a copy that computes in float32 what it does in less."""

    def change(layer):
        policy = getattr(layer, "dtype_policy", None)
        if getattr(policy, "compute_dtype", None) in ("bfloat16", "float16"):
            return {"dtype": "float32"}
        return None

    reduced = any(change(layer) for layer in _all_layers(model))
    return surgery.reconfigure(model, change) if reduced else model


def _all_layers(model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
