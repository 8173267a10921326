"""What the filters of a convolution answer to sample images: mean and covariance."""

from collections.abc import Iterable
from typing import NamedTuple

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import samples

_POSITIONS = 100  # of an image: neighbours answer much alike


class ResponseStatistics(NamedTuple):
    """Statistics of a layer's responses, before bias and activation.

    Attributes:
        mean: Their mean, `[filters]`.
        covariance: Their covariance within each group,
            `[groups, filters / groups, filters / groups]`.
    """

    mean: np.ndarray
    covariance: np.ndarray


def layer_responses(
    model: keras.Model,
    names: Iterable[str],
    images: np.ndarray,
    batch_size: int = 50,
    seed: int = 0,
) -> dict[str, ResponseStatistics]:
    """Measures how the filters of convolutions answer to sample images.

    This is what decompositions by least squares on the responses go by (Zhang et al.,
    Accelerating Very Deep Convolutional Networks, TPAMI 2016, section 3.1). The
    statistics are over all images and, of maps with more, 100 random positions of each;
    they are summed in float64. A layer that is called several times counts each call.

    Args:
        model: A functional or Sequential model with one input. It stays as it is.
        names: Names of convolutions; one in a nested model follows the names of the
            models that it is nested in: `"outer/inner"`.
        images: Images `(n, height, width, channels)`, as the model takes them.
        batch_size: Images per run.
        seed: Seed of the choice of positions.

    Returns:
        For each name the statistics of its layer.

    Raises:
        ValueError: There are no images or they do not fit the model; a name is not that
            of a 2D convolution; responses are no finite numbers.

    Example:
        >>> layer_responses(model, ["conv1_conv"], images)["conv1_conv"].mean
    """
    names = list(names)
    images = samples.check_images(model, images)
    copy = samples.runnable(model)
    layers = _convolutions(copy, names)
    activations = {name: layer.activation for name, layer in layers.items()}
    for layer in layers.values():
        layer.activation = keras.activations.linear
    sums = {name: _Sums(layer) for name, layer in layers.items()}
    rng = np.random.default_rng(seed)

    def call(name, operation, args, kwargs):
        outputs = samples.infer(operation, args, kwargs)
        if name not in layers:
            return outputs
        sums[name].add(_sample(operation, outputs, rng), name)
        return activations[name](outputs)

    for batch in samples.batches(copy, images, batch_size):
        graph.walk(copy, batch, call)
    return {name: sums[name].statistics() for name in names}


def _convolutions(model, names):
    known = {
        name: layer
        for name, layer in graph.operations(model)
        if isinstance(layer, keras.layers.Conv2D)
    }
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(
            f"`names` must be of the model's 2D convolutions, {list(known)}. "
            f"Received: {unknown}"
        )
    return {name: known[name] for name in names}


def _sample(layer, outputs, rng) -> np.ndarray:
    """Returns a convolution's responses at some positions, `[samples, filters]`."""
    outputs = keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))
    if layer.data_format == "channels_first":
        outputs = np.moveaxis(outputs, 1, -1)
    responses = outputs.reshape(len(outputs), -1, layer.filters)
    positions = responses.shape[1]
    if positions > _POSITIONS:
        chosen = rng.integers(positions, size=(len(responses), _POSITIONS, 1))
        responses = np.take_along_axis(responses, chosen, axis=1)
    responses = responses.reshape(-1, layer.filters).astype("float64")
    if layer.use_bias:
        responses -= layer.bias.numpy()
    return responses


class _Sums:
    """Running mean and sums of products of deviations from it, batch after batch."""

    def __init__(self, layer):
        self._groups = layer.groups
        self._count = 0
        self._mean = np.zeros(layer.filters)
        width = layer.filters // layer.groups
        self._products = np.zeros((layer.groups, width, width))

    def add(self, responses, name):
        """Adds responses `[samples, filters]`."""
        if not np.isfinite(responses).all():
            raise ValueError(
                f"Layer {name!r} answers the images with values that are no finite "
                "numbers: its weights, or those of layers before it, hold NaN or are "
                "too large. Received: NaN or infinite responses"
            )
        mean = responses.mean(0)
        total = self._count + len(responses)
        step = mean - self._mean
        self._products += self._grouped_products(responses - mean)
        self._products += self._grouped_products(step[None]) * (
            self._count * len(responses) / total
        )
        self._mean += step * len(responses) / total
        self._count = total

    def statistics(self) -> ResponseStatistics:
        """Returns the statistics of all that was added."""
        return ResponseStatistics(self._mean, self._products / self._count)

    def _grouped_products(self, deviations):
        grouped = deviations.reshape(len(deviations), self._groups, -1).swapaxes(0, 1)
        return grouped.swapaxes(1, 2) @ grouped
