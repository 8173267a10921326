"""Kernels with groups, and 1x1s behind them, fitted to responses without groups."""

from collections.abc import Collection

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.graph import symbolic_inputs

_POSITIONS = 100  # of an image: neighbours are alike
_RIDGE = 1e-4  # of the mean square of the inputs: what keeps the fit from noise


def refit(
    dense: keras.Model,
    grouped: keras.Model,
    names: Collection[str],
    images: np.ndarray,
    batch_size: int = 50,
    seed: int = 0,
) -> None:
    """Fits convolutions with groups to the responses of those without, in place.

    Layer by layer, by least squares on sample images: filters make up for the inputs
    that they do not see any more from those that they see, which are correlated with
    them; the 1x1s behind them make up for the rest, as far as other groups know it
    (as Zhang et al., Accelerating Very Deep Convolutional Networks, TPAMI 2016, section
    3.2, fit low-rank layers to the responses of the whole network).

    Args:
        dense: The model without groups.
        grouped: The same model with groups, whose weights change.
        names: Names of its convolutions that were given groups.
        images: Images `(n, height, width, channels)`, as the models take them.
        batch_size: Images per run.
        seed: Seed of the choice of positions.

    Raises:
        ValueError: There are no images, they do not fit the model, or responses are not
            finite.
    """
    images = convolutions.check_images(grouped, images)
    shape = images.shape[1:]
    dense = convolutions.runnable(dense)
    following = graph.Connections(grouped)
    for name, layer in _affected(grouped, names, shape).items():
        norm = following.follower(layer)
        is_norm = isinstance(norm, keras.layers.BatchNormalization)
        absorbs = is_norm and not layer.use_bias
        moments = convolutions.Moments()
        rng = np.random.default_rng(seed)
        for batch in convolutions.batches(grouped, images, batch_size):
            seen = _calls(grouped, batch, name)
            wanted = _calls(dense, batch, name)
            for (inputs, _), (_, responses) in zip(seen, wanted, strict=True):
                _add(moments, name, layer, inputs, responses, rng)
        weights, shifts = moments.fit(_RIDGE, layer.use_bias or absorbs)
        kernel = np.concatenate(weights, axis=-1).reshape(layer.kernel.shape)
        shift = shifts.ravel()
        layer.set_weights([kernel, shift] if layer.use_bias else [kernel])
        if absorbs:
            norm.moving_mean.assign(norm.moving_mean - shift)


def _affected(model, names, input_shape) -> dict[str, keras.layers.Conv2D]:
    """The convolutions with groups, and the 1x1s that come after one."""
    found = {}

    def step(name, operation, output, after):
        if name in names:
            found[name] = operation
            return True
        if any(after) and _is_1x1(operation):
            found[name] = operation
        return any(after)

    graph.annotate(model, symbolic_inputs(model, input_shape), False, step)
    return found


def _is_1x1(layer) -> bool:
    return type(layer) is keras.layers.Conv2D and layer.kernel_size == (1, 1)


def _calls(model, batch, wanted) -> list[tuple]:
    """Inputs and responses, before the activation, of every call of a convolution."""
    found = []

    def call(name, operation, args, kwargs):
        if name == wanted:
            found.append((args[0], _responses(operation, args[0])))
        return convolutions.infer(operation, args, kwargs)

    graph.walk(model, batch, call)
    return found


def _responses(layer, inputs):
    """A convolution's responses in float32, whatever the dtype it computes in."""
    inputs, kernel = (keras.ops.cast(x, "float32") for x in (inputs, layer.kernel))
    responses = layer.convolution_op(inputs, kernel)
    if layer.use_bias:
        first = layer.data_format == "channels_first"
        shape = (1, -1, 1, 1) if first else (1, 1, 1, -1)
        responses += keras.ops.cast(keras.ops.reshape(layer.bias, shape), "float32")
    return responses


def _add(moments, name, layer, inputs, responses, rng):
    """Adds inputs of the groups of a layer, and responses to fit, at some positions."""
    chosen = convolutions.choose_positions(layer, inputs, _POSITIONS, rng)
    seen = convolutions.patches_at(layer, inputs, chosen)
    responses = convolutions.answers_at(layer, responses, chosen)
    convolutions.check_finite(name, seen, responses)
    *kernel, channels = seen.shape[2:]
    parts = seen.reshape(-1, *kernel, layer.groups, channels // layer.groups)
    parts = np.moveaxis(parts, -2, 1)
    moments.add(
        parts.reshape(*parts.shape[:2], -1),
        responses.reshape(len(parts), layer.groups, -1),
    )
