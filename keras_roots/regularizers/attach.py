"""Adding regularisers to the layers of a model, and removing them."""

import re
from collections.abc import Callable, Iterable

import keras
import numpy as np

from keras_roots import graph
from keras_roots.graph import Selection
from keras_roots.regularizers.force import ForceRegularizer
from keras_roots.regularizers.group_lasso import GroupLasso
from keras_roots.utils import checks

# The convolutions that the paper coordinates, by model family. ConvNet and ResNet-20:
# Table 1; AlexNet: section 5.3, Table 4; GoogLeNet: every one, the 1x1s too.
PAPER_LAYERS = {
    "root_convnet": r"conv[123]",
    "root_resnet20": r"conv\d_block\d_[12]_conv",
    "root_alexnet": r"conv[345]",
    "root_googlenet": r".*",
}

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


@keras.saving.register_keras_serializable(package="keras_roots")
class RegularizerSum(keras.regularizers.Regularizer):
    """The sum of several regularisers, where a layer takes one.

    Args:
        regularizers: The regularisers, or their names; of a `RegularizerSum`, its
            terms.

    Raises:
        ValueError: It is no list or tuple, or holds something else.
    """

    def __init__(self, regularizers):
        checks.instance(
            "regularizers", regularizers, (list, tuple), "a list of regularisers"
        )
        self.regularizers = []
        for given in regularizers:
            regularizer = checks.of_keras(
                "regularizers", given, keras.regularizers.get, "regularisers"
            )
            if regularizer is None:
                continue
            if isinstance(regularizer, RegularizerSum):
                self.regularizers += regularizer.regularizers
            else:
                self.regularizers.append(regularizer)

    def __call__(self, x):
        """Returns the sum of their values."""
        return sum(regularizer(x) for regularizer in self.regularizers)

    def get_config(self):
        """Returns the regularisers, serialised."""
        return {
            "regularizers": [
                keras.regularizers.serialize(regularizer)
                for regularizer in self.regularizers
            ]
        }


def with_regularizer(
    model: keras.Model,
    regularizer: keras.regularizers.Regularizer | Callable,
    layers: Iterable[str] | Callable[[keras.Layer], bool] | str | None = None,
) -> keras.Model:
    """Returns a copy of a model whose convolutions have one more kernel regulariser.

    The copy has the same weights and outputs. A regulariser that a convolution has
    already, such as L2, stays, and the new one is added to it. A `ForceRegularizer` or
    `GroupLasso` gets the filter groups of each layer.

    Args:
        model: A functional or Sequential model, nested ones included.
        regularizer: A regulariser, or a function of a layer that returns one, or `None`
            for a layer to leave alone.
        layers: Names of convolutions, or a predicate of a layer, such as
            `paper_layers("root_resnet20")`; `"pointwise"` for the 1x1s, or `"spatial"`;
            by default all convolutions but depthwise, separable and transposed ones.

    Returns:
        A functional model, not compiled.

    Raises:
        ValueError: The model has no such convolutions or is subclassed, or
            `regularizer` is no regulariser and no function.

    Example:
        >>> model = keras_roots.RootConvNet()
        >>> forced = with_regularizer(model, ForceRegularizer(1e-3, norm="l1"))
    """
    if not isinstance(regularizer, keras.regularizers.Regularizer):
        if not callable(regularizer):
            raise ValueError(
                "`regularizer` must be a keras.regularizers.Regularizer or a "
                f"function of a layer. Received: regularizer={regularizer!r}"
            )
    chosen = Selection(layers, _is_convolution, "convolutions")
    model = graph.expand_composites(model)
    names = _paths(model)

    def change(layer):
        if not chosen(layer, names.get(id(layer))):
            return None
        own = regularizer
        if not isinstance(own, keras.regularizers.Regularizer):
            own = own(layer)
            if own is not None:
                kind = keras.regularizers.Regularizer
                wanted = "a function that returns a regulariser or None"
                checks.instance("regularizer", own, kind, wanted)
        if own is None:
            return None
        if isinstance(own, ForceRegularizer | GroupLasso):
            own = own.from_config({**own.get_config(), "groups": layer.groups})
        if layer.kernel_regularizer is not None:
            own = RegularizerSum([layer.kernel_regularizer, own])
        return {"kernel_regularizer": own}

    copy = graph.reconfigure(model, change)
    chosen.check(model)
    return copy


def without_regularizers(model: keras.Model) -> keras.Model:
    """Returns a copy of a model without regularisers, as for export.

    Args:
        model: A functional or Sequential model, nested ones included.

    Returns:
        A functional model with the same weights and outputs, not compiled, whose file
        needs nothing of this package to be loaded unless its layers do.

    Raises:
        ValueError: The model is subclassed.
    """

    def change(layer):
        config = layer.get_config()
        held = [name for name in config if name.endswith("_regularizer")]
        return dict.fromkeys(name for name in held if config[name] is not None)

    return graph.reconfigure(graph.expand_composites(model), change)


def paper_layers(family: str) -> Callable[[keras.Layer], bool]:
    """Returns a predicate of the convolutions that the paper coordinates.

    Args:
        family: Registry name of the network, a key of `PAPER_LAYERS`.

    Raises:
        ValueError: The paper does not train that network.
    """
    checks.choice("family", family, sorted(PAPER_LAYERS))
    pattern = re.compile(PAPER_LAYERS[family])
    return lambda layer: pattern.fullmatch(layer.name) is not None


def relative_force(
    model: keras.Model,
    strength: float,
    images: np.ndarray,
    targets: np.ndarray,
    loss,
    *,
    batch_size: int = 128,
    **force,
) -> Callable[[keras.Layer], ForceRegularizer]:
    """Returns a force for each layer, in proportion to the gradient of its data loss.

    The right absolute strength depends on the lengths and the number of the filters,
    and on how far the network is trained. Here, each layer's strength is such that
    the length of its force is `strength` times the mean length of its gradient over
    batches of the images, at the model's present weights.

    Args:
        model: A functional or Sequential model, to be passed to `with_regularizer`.
        strength: Length of the force over that of the data gradient; negative for
            Discrimination Regularization.
        images: Images as the model takes them, a few batches.
        targets: Their targets, as `loss` takes them.
        loss: Loss of the training, as for `compile`.
        batch_size: Images per batch: that of the training.
        **force: Other arguments of `ForceRegularizer`.

    Returns:
        A function of a layer, for `with_regularizer`.

    Raises:
        ValueError: An argument is impossible, or images are less than a batch.

    Example:
        >>> force = relative_force(model, 0.5, x[:1280], y[:1280], loss, norm="l2")
        >>> model = with_regularizer(model, force)
    """
    batch_size = checks.integer("batch_size", batch_size)
    ForceRegularizer(strength, **force)
    graph.check_built(model)
    for name, given in (("images", images), ("targets", targets)):
        if not np.ndim(given):
            raise ValueError(
                f"`{name}` must be an array, a row per image. "
                f"Received: {name} of type {type(given).__name__}"
            )
    for each in keras.tree.flatten(loss) or [None]:
        found = checks.of_keras("loss", each, keras.losses.get, "a loss")
        checks.function("loss", found)
    if batch_size > len(images) or len(images) != len(targets):
        raise ValueError(
            "`images` must hold at least a batch, and `targets` as many. Received: "
            f"{len(images)} images, {len(targets)} targets, batch_size={batch_size}"
        )
    model = graph.expand_composites(model)
    gradients = _gradient_lengths(model, images, targets, loss, batch_size)
    names = _paths(model)

    def regularizer(layer):
        unit = ForceRegularizer(1.0, **{**force, "groups": layer.groups})
        length = np.linalg.norm(
            keras.ops.convert_to_numpy(unit.force(layer.kernel)).ravel()
        )
        gradient = gradients[names.get(id(layer), layer.name)]
        own = strength * gradient / length if length > 0 else 0.0
        return ForceRegularizer(own, **{**force, "groups": layer.groups})

    return regularizer


def _is_convolution(layer) -> bool:
    return isinstance(layer, _CONVOLUTIONS)


def _paths(model) -> dict[int, str]:
    """Names of layers with those of the models that they are nested in, by `id`."""
    return {id(layer): name for name, layer in graph.operations(model)}


def _gradient_lengths(model, images, targets, loss, batch_size) -> dict[str, float]:
    """Mean length of each convolution's gradient, taken from steps of plain SGD."""
    copy = without_regularizers(model)
    weights = copy.get_weights()
    copy.compile(keras.optimizers.SGD(1.0), loss=loss)
    named = [pair for pair in graph.operations(copy) if _is_convolution(pair[1])]
    names, convolutions = zip(*named, strict=True)
    before = [np.array(layer.kernel) for layer in convolutions]
    lengths = []
    for start in range(0, len(images) - batch_size + 1, batch_size):
        batch = slice(start, start + batch_size)
        copy.set_weights(weights)
        copy.train_on_batch(images[batch], targets[batch])
        lengths.append(
            [
                np.linalg.norm((np.array(layer.kernel) - kernel).ravel())
                for layer, kernel in zip(convolutions, before, strict=True)
            ]
        )
    return dict(zip(names, np.mean(lengths, axis=0).tolist(), strict=True))
