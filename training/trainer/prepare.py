"""The preparation of a model for training: its outputs, layers and optimiser."""

import keras
import numpy as np

from keras_roots import graph, layers
from keras_roots.training.trainer.optimizer import SGD
from keras_roots.training.trainer.recipes import Recipe
from keras_roots.training.trainer.schedules import make_schedule


def prepare(model: keras.Model, recipe: Recipe, *, synchronized=False) -> keras.Model:
    """Returns a model as a recipe trains it: with its decay, precision and BatchNorm.

    Each BatchNormalization becomes the package's own, which trains faster, and outputs
    become logits. With an initial size of images, it takes images of any size.

    Args:
        model: The model, whose outputs are probabilities by a softmax, or logits.
        recipe: The recipe: weight decay, precision and initial size.
        synchronized: Whether BatchNorm takes its statistics from all replicas.

    Raises:
        ValueError: An output is neither, the model is subclassed, or it takes no images
            of the initial size.
    """
    multipliers = dict(recipe.decay_multipliers)
    outputs = set(map(id, graph.output_layers(model)))

    def replace(layer):
        kind = layer.__class__
        changes = {}
        if id(layer) in outputs:
            if isinstance(layer, keras.layers.Softmax):
                return graph.Replacement([], [])
            changes |= _to_logits(layer)
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
        if isinstance(layer, keras.layers.Rescaling) or id(layer) in outputs:
            changes.pop("dtype", None)  # pixels and logits keep their precision
        if not changes and kind is layer.__class__:
            return None
        return kind.from_config({**graph.configuration(layer), **changes})

    prepared = graph.rewrite(model, replace)
    if recipe.initial_size is None:
        return prepared
    return _of_any_size(prepared, recipe.initial_size)


def _of_any_size(model, size):
    """Returns a copy of a model whose images may also have another size."""
    sides = model.input_shape[1:-1]
    if any(side is not None and size >= side for side in sides):
        raise ValueError(
            "`initial_size` must be smaller than the images of the network, "
            f"{sides}. Received: initial_size={size}"
        )
    wanted = [tensor.shape for tensor in model.outputs]
    shape = (None, size, size, model.input_shape[-1])
    try:
        free = graph.rewrite(model, lambda layer: None, any_size=True)
        found = [tensor.shape for tensor in free.outputs]
        free.compute_output_spec(keras.KerasTensor(shape))
    except (ValueError, TypeError) as error:
        reason = f": {str(error).splitlines()[0]}"
    else:
        if found == wanted:
            return free
        reason = f", whose outputs then have the shapes {found}"
    raise ValueError(
        "`initial_size` needs a network that takes images of other sizes too, such as "
        f"one that ends in a global average pool. Received: initial_size={size}, "
        f"network {model.name!r}{reason}"
    )


def logits(model: keras.Model) -> keras.Model:
    """Returns a copy of a model whose outputs are logits, as `prepare` makes them."""
    plain = Recipe(epochs=1, batch_size=1, learning_rate=1.0, weight_decay=0.0)
    return prepare(model, plain)


def check_outputs(model: keras.Model) -> None:
    """Checks that a model's outputs are probabilities by a softmax, or logits.

    Args:
        model: A functional or Sequential model.

    Raises:
        ValueError: One is neither.
    """
    for layer in graph.output_layers(model):
        _to_logits(layer)


def _to_logits(layer) -> dict:
    """What to change in an output layer so that it gives logits."""
    activation = layer.get_config().get("activation")
    if activation not in ("softmax", "linear", None):
        raise ValueError(
            "`model` must end in a softmax or in logits to be trained as a classifier. "
            f"Received: model with output layer {layer.name!r}, "
            f"{layer.__class__.__name__}, activation={activation!r}"
        )
    return {"activation": "linear"} if activation == "softmax" else {}


def compile_model(
    model: keras.Model,
    recipe: Recipe,
    steps: int,
    class_counts: np.ndarray | None = None,
) -> None:
    """Compiles a model with a recipe's loss and optimiser.

    Args:
        model: Model whose outputs are logits: the main one, then auxiliary ones.
        recipe: The recipe.
        steps: Steps of the whole run.
        class_counts: Training images of each class, for weights of classes.
    """
    how = {
        "momentum": recipe.momentum,
        "nesterov": recipe.nesterov,
        "use_ema": recipe.ema > 0,
        "ema_momentum": recipe.ema or 0.99,
    }
    rate = make_schedule(recipe, steps)
    if recipe.body_rate is None and recipe.frozen_epochs is None:
        optimizer = keras.optimizers.SGD(rate, **how)
    else:
        own = {id(v) for layer in graph.heads(model) for v in layer.trainable_variables}
        variables = model.trainable_variables
        how["heads"] = [n for n, each in enumerate(variables) if id(each) in own]
        how["frozen_steps"] = (recipe.frozen_epochs or 0) * steps // recipe.epochs
        if recipe.body_rate is not None:
            how["body_rate"] = recipe.body_rate
        optimizer = SGD(rate, **how)
    of_loss = {"from_logits": True, "label_smoothing": recipe.label_smoothing}
    loss = keras.losses.CategoricalCrossentropy(**of_loss)
    if recipe.class_weight == "balanced":
        loss = _Weighted(_balanced(class_counts), **of_loss)
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


class _Weighted(keras.losses.CategoricalCrossentropy):
    """Cross entropy that weighs images by their class."""

    def __init__(self, weights, **how):
        super().__init__(**how)
        self._weights = weights

    def call(self, y_true, y_pred):
        weights = keras.ops.matmul(y_true, self._weights)
        return super().call(y_true, y_pred) * weights


def _balanced(counts) -> np.ndarray:
    """Weights of the classes, whose mean over the images is 1."""
    present = counts > 0
    weights = counts.sum() / (present.sum() * np.maximum(counts, 1))
    return np.where(present, weights, 0.0).astype("float32")


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies weights between models of one architecture, layer by name.

    Layers that only one of them has, such as auxiliary heads, are left alone.
    """
    names = {layer.name for layer in source.layers}
    for layer in target.layers:
        if layer.name in names and layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def mean_colour(model: keras.Model) -> np.ndarray:
    """Returns the colour that a model's normalisation maps to zero.

    It is what augmentation fills images with beyond their edges.

    Args:
        model: The model, which takes pixels 0 to 255 and normalises them by a Rescaling
            of the name `"normalization"`, if at all.

    Returns:
        A value per channel, float32 `(channels,)`, 0 to 255; black where there is no
        such layer.
    """
    named = [layer for layer in model.layers if layer.name == "normalization"]
    if not named or not isinstance(named[0], keras.layers.Rescaling):
        return np.zeros(model.input_shape[-1], "float32")
    layer = named[0]
    return -np.array(layer.offset, "float32") / np.array(layer.scale, "float32")
