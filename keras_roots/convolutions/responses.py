"""What the filters of a convolution answer to sample images: mean and covariance."""

from collections.abc import Hashable, Mapping
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
    """Statistics of what filters answer, the layer's own or others in their place.

    All is before bias and activation.

    Attributes:
        mean: Mean of what they answer, `[groups * width]`; the layer's own filters have
            a width of `filters / groups`, those in its place one per filter and
            place.
        covariance: Its covariance within each group, `[groups, width, width]`.
        wanted: Mean of what should be answered in their place, `[filters]`; `None` for
            the responses themselves.
        products: Covariance of what they answer with that,
            `[groups, width, filters / groups]`.
        variance: Variance of what should be answered, summed over the filters.
    """

    mean: np.ndarray
    covariance: np.ndarray
    wanted: np.ndarray | None = None
    products: np.ndarray | None = None
    variance: float | None = None

    @classmethod
    def of(cls, moments: Moments) -> "ResponseStatistics":
        """Returns the statistics that moments hold; without answers, of those alone."""
        width = moments.mean.shape[1]
        if moments.products.shape[-1] == width:
            return cls(moments.mean.ravel(), moments.covariance)
        return cls(
            moments.mean.ravel(),
            moments.covariance,
            moments.answer_mean.ravel(),
            moments.products[..., width:] / moments.count,
            moments.answer_squares / moments.count,
        )


def layer_responses(
    model: keras.Model,
    requests: Mapping[Hashable, tuple[str, np.ndarray | None]],
    images: np.ndarray,
    batch_size: int = 50,
    seed: int = 0,
) -> dict[Hashable, ResponseStatistics]:
    """Measures how filters of convolutions, or others in their place, answer to images.

    This is what decompositions by least squares on the responses go by (Zhang et al.,
    Accelerating Very Deep Convolutional Networks, TPAMI 2016, section 3.1). The
    statistics are over all images and, of maps with more, 100 random positions of each;
    they are summed in float64. A layer that is called several times counts each call.

    Args:
        model: A functional or Sequential model. It stays as it is.
        requests: By any key, the name of a convolution or Dense layer (one in a nested
            model follows the names of the models that it is nested in:
            `"outer/inner"`), and the kernel of filters in its place, as for `features`,
            with the layer's groups; `None` for the layer's own.
        images: Samples of the model's inputs, as the model takes them.
        batch_size: Samples per run.
        seed: Seed of the choice of positions.

    Returns:
        By key, the statistics. Of filters in a layer's place, the layer's responses are
        what is wanted.

    Raises:
        ValueError: There are no images or they do not fit the model; a name is not that
            of a 2D convolution; responses are no finite numbers.

    Example:
        >>> layer_responses(model, {"conv": ("conv", None)}, images)["conv"].mean
    """
    images = samples.Samples.of(model, images)
    copy = samples.runnable(model)
    layers = _convolutions(copy, [name for name, _ in requests.values()])
    activations = {id(layer): layer.activation for layer in layers.values()}
    for layer in layers.values():
        layer.activation = keras.activations.linear
    moments = {key: Moments() for key in requests}
    # By layer: one that is shared has other names in its other calls.
    asked = {id(layer): [] for layer in layers.values()}
    for key, (name, basis) in requests.items():
        asked[id(layers[name])].append((moments[key], basis))
    rng = np.random.default_rng(checks.seed(seed))

    def call(name, operation, args, kwargs):
        outputs = samples.infer(operation, args, kwargs)
        if id(operation) not in asked:
            return outputs
        chosen = patches.choose_positions(operation, args[0], _POSITIONS, rng)
        answers = patches.answers_at(operation, outputs, chosen)
        patches.check_finite(name, answers)
        responses = _responses(operation, answers)
        for found, basis in asked[id(operation)]:
            if basis is None:
                found.add(responses)
                continue
            seen = patches.patches_at(operation, args[0], chosen)
            seen = patches.features(basis, Convolution.of(operation).groups, seen)
            found.add(seen, responses)
        return activations[id(operation)](outputs)

    count = images.batch_count(batch_size)
    for batch in progress(images.batches(batch_size), "batch", count):
        graph.walk(copy, batch, call)
    seen = {
        name: max((each.count, each.mean.shape[1]) for each, _ in asked[id(layer)])
        for name, layer in layers.items()
    }
    samples.warn_if_few(seen, len(images))
    return {key: ResponseStatistics.of(each) for key, each in moments.items()}


def _convolutions(model, names):
    known = {
        name: layer
        for name, layer in graph.operations(model)
        if isinstance(layer, KERNEL_LAYERS)
    }
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(
            "`requests` must name 2D convolutions or Dense layers of the model, "
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
