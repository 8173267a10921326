"""What convolutions lose with filter groups: of their weights, or of what they answer.

Layer by layer, as if it were the only one that gets groups.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.groups import fits

_IMAGES = 200  # for what the whole network answers, option by option
_CERTAIN = 1e-3  # how far sums of probabilities may be from one
_ROUNDING = 1e-7  # a change that networks in float32 cannot tell from none
_LEAST = 1e-9  # a probability of zero would have no logarithm


@dataclasses.dataclass(frozen=True)
class Change:
    """How much a network's answers change when a layer gets groups.

    Attributes:
        alone: For each number of groups.
        mixed: Those with a 1x1 behind the layer that mixes its groups; where none was
            asked for, the same.
    """

    alone: np.ndarray
    mixed: np.ndarray


def lost_energy(
    model: keras.Model, counts: Mapping[str, Sequence[int]], seed: int = 0
) -> dict[str, np.ndarray]:
    """Returns the part of kernels' energy that groups lose.

    Args:
        model: A functional or Sequential model.
        counts: Numbers of groups to try, by name of convolutions without any.
        seed: Seed of the search for channels that belong together.

    Returns:
        By name, the lost part for each number of groups.

    Raises:
        ValueError: Weights are not finite.
        ImportError: SciPy is not installed.
    """
    return {
        name: np.array([1 - grouping.kept for grouping in groupings])
        for name, groupings in fits.groupings(model, counts, seed).items()
    }


def lost_responses(
    model: keras.Model,
    counts: Mapping[str, Sequence[int]],
    images: np.ndarray,
    seed: int = 0,
    batch_size: int = 50,
) -> dict[str, np.ndarray]:
    """Returns the part of the variance of responses that groups lose.

    That is what is left after each filter was fitted by least squares to what it would
    have answered, with a constant, on the inputs of its own group
    (`carry_over="responses"`).

    Args:
        model: A functional or Sequential model with one input.
        counts: As for `lost_energy`.
        images: Sample images `(n, height, width, channels)`, as the model takes them.
        seed: Seed of the search for channels and of the choice of positions.
        batch_size: Images per run.

    Returns:
        By name, the lost part for each number of groups, 0 to 1.

    Raises:
        ValueError: Weights are not finite, or images do not fit the model.
        ImportError: SciPy is not installed.
    """
    images = convolutions.check_images(model, images)
    return {
        name: np.array([seen.lost(seen.fit(*option)) for option in options])
        for name, seen, options in _options(model, counts, images, seed, batch_size)
    }


def changed_answers(
    model: keras.Model,
    counts: Mapping[str, Sequence[int]],
    images: np.ndarray,
    seed: int = 0,
    batch_size: int = 50,
    *,
    mixed: Collection[str] = (),
) -> dict[str, Change]:
    """Returns how much what the network answers changes with the groups of one layer.

    Of a layer that loses much of its own responses, the network may need little: the
    layer's kernel is replaced by the one that is fitted within groups, and the network
    run. Of probabilities it is the Kullback-Leibler divergence from what the network
    answered before, in nats; of other outputs that of normal distributions of their
    variance, half the part of the variance that changed.

    Args:
        model: A functional or Sequential model with one input.
        counts: As for `lost_energy`.
        images: Sample images `(n, height, width, channels)`, as the model takes them;
            the network is run on the first 200.
        seed: Seed of the search for channels and of the choice of positions.
        batch_size: Images per run.
        mixed: Names of those that may get a 1x1. Behind an activation the change with
            it is taken to be that without: how much it helps is not known.

    Returns:
        By name, the change for each number of groups, at least 0.

    Raises:
        ValueError: Weights are not finite, or images do not fit the model.
        ImportError: SciPy is not installed.
    """
    images = convolutions.check_images(model, images)
    every = _options(model, counts, images, seed, batch_size)
    copy = _with_biases(model, counts)
    layers = {name: layer for name, layer in graph.operations(copy) if name in counts}
    answer = _Answers(copy, images[:_IMAGES], batch_size)
    return {
        name: _change(
            answer,
            layers[name],
            seen,
            options,
            name in mixed and layers[name].activation is keras.activations.linear,
        )
        for name, seen, options in every
    }


def _options(model, counts, images, seed, batch_size) -> list[tuple]:
    """Names, what the layers see, and for each number of groups the grouping and it."""
    seen = fits.see(model, counts, images, seed, batch_size)
    groupings = fits.groupings(model, counts, seed)
    return [
        (name, seen[name], list(zip(groupings[name], tries, strict=True)))
        for name, tries in counts.items()
    ]


def _change(answer, layer, seen, options, helped) -> Change:
    own = layer.get_weights()

    def changed(kernel) -> float:
        shift = own[1] + seen.shift(kernel)
        layer.set_weights([kernel.astype("float32"), shift.astype("float32")])
        return answer.changed()

    alone, mixed = [], []
    for grouping, count in options:
        kernel = seen.fit(grouping, count)
        alone.append(changed(kernel) if count > 1 else 0.0)
        mixes = helped and count > 1
        mixed.append(changed(seen.mix(kernel)) if mixes else alone[-1])
    layer.set_weights(own)
    return Change(np.array(alone), np.array(mixed))


def _with_biases(model, names) -> keras.Model:
    """Returns a copy of a model in which some convolutions have biases."""
    lacking = {
        id(layer)
        for name, layer in graph.operations(model)
        if name in names and not layer.use_bias
    }

    def replace(layer):
        if id(layer) not in lacking:
            return None
        weights = [*layer.get_weights(), np.zeros(layer.filters, "float32")]
        return graph.Replacement([graph.copy_of(layer, use_bias=True)], [weights])

    return graph.rewrite(model, replace)


class _Answers:
    """What a network answers to images, and how much that changes with its weights.

    Args:
        model: The network.
        images: The images.
        batch_size: Images per run.
    """

    def __init__(self, model: keras.Model, images: np.ndarray, batch_size: int):
        self._model, self._images, self._batch_size = model, images, batch_size
        self._first = self._run()

    def changed(self) -> float:
        """Returns the divergence from the answers before, of all outputs together."""
        pairs = zip(self._first, self._run(), strict=True)
        found = float(sum(_divergence(*pair) for pair in pairs))
        return found if found > _ROUNDING else 0.0

    def _run(self) -> list[np.ndarray]:
        found = self._model.predict(
            self._images, batch_size=self._batch_size, verbose=0
        )
        return [np.asarray(x, "float64") for x in keras.tree.flatten(found)]


def _divergence(before, after) -> float:
    if (before >= 0).all() and np.allclose(before.sum(-1), 1, atol=_CERTAIN):
        logarithms = [np.log(np.maximum(x, _LEAST)) for x in (before, after)]
        return (before * (logarithms[0] - logarithms[1])).sum(-1).mean()
    variance = np.square(before - before.mean(axis=0)).mean()
    change = np.square(before - after).mean()
    return change / (2 * variance) if variance > 0 else change
