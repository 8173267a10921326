"""What the filters of a convolution answer to sample images: mean and covariance."""

from collections.abc import Iterable
from typing import NamedTuple

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import patches, samples
from keras_roots.convolutions.description import KERNEL_LAYERS, Convolution
from keras_roots.convolutions.moments import Moments
from keras_roots.utils import checks, progress

_POSITIONS = 100  # of an image: neighbours answer much alike


class ResponseStatistics(NamedTuple):
    """Statistics of a layer's responses, before bias and activation.

    Attributes:
        mean: Their mean, `[filters]`.
        covariance: Their covariance within each group,
            `[groups, filters / groups, filters / groups]`.
        wanted: Mean of what should be answered in their place, `[filters]`; `None` for
            the responses themselves.
        products: Covariance of the responses with that, of the same shape.
    """

    mean: np.ndarray
    covariance: np.ndarray
    wanted: np.ndarray | None = None
    products: np.ndarray | None = None


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
    images = samples.Samples.of(model, images)
    copy = samples.runnable(model)
    layers = _convolutions(copy, names)
    activations = {name: layer.activation for name, layer in layers.items()}
    for layer in layers.values():
        layer.activation = keras.activations.linear
    moments = {name: Moments() for name in names}
    rng = np.random.default_rng(checks.seed(seed))

    def call(name, operation, args, kwargs):
        outputs = samples.infer(operation, args, kwargs)
        if name not in layers:
            return outputs
        chosen = patches.choose_positions(operation, args[0], _POSITIONS, rng)
        answers = patches.answers_at(operation, outputs, chosen)
        patches.check_finite(name, answers)
        moments[name].add(_responses(operation, answers))
        return activations[name](outputs)

    count = images.batch_count(batch_size)
    for batch in progress(images.batches(batch_size), "batch", count):
        graph.walk(copy, batch, call)
    seen = {name: (each.count, each.mean.shape[1]) for name, each in moments.items()}
    samples.warn_if_few(seen, len(images))
    return {
        name: ResponseStatistics(found.mean.ravel(), found.covariance)
        for name, found in moments.items()
    }


def _convolutions(model, names):
    known = {
        name: layer
        for name, layer in graph.operations(model)
        if isinstance(layer, KERNEL_LAYERS)
    }
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(
            "`names` must be of the model's 2D convolutions and Dense layers, "
            f"{list(known)}. "
            f"Received: {unknown}"
        )
    return {name: known[name] for name in names}


def _responses(layer, answers) -> np.ndarray:
    """Returns answers without the bias, `[samples, groups, filters / groups]`."""
    responses = answers.reshape(-1, answers.shape[-1]).astype("float64")
    if layer.use_bias:
        responses -= keras.ops.convert_to_numpy(layer.bias)
    return responses.reshape(len(responses), Convolution.of(layer).groups, -1)
