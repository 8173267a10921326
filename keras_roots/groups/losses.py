"""What filter groups lose: of a layer's responses, or of the network's outputs.

Layer by layer, as if it were the only one that gets groups.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.groups import channel_order, least_squares

_IMAGES = 200  # that the whole network runs on, for each number of groups


@dataclasses.dataclass(frozen=True)
class OutputChanges:
    """How much a network's outputs change with groups of one layer.

    Attributes:
        alone: The change for each number of groups.
        mixed: The change with a 1x1 behind the layer that mixes its groups; where none
            may be added, that without.
        responses: Part of the variance of the layer's own responses that is lost.
    """

    alone: np.ndarray
    mixed: np.ndarray
    responses: np.ndarray


def lost_responses(
    model: keras.Model,
    counts: Mapping[str, Sequence[int]],
    images: np.ndarray,
    seed: int = 0,
    batch_size: int = 50,
) -> dict[str, np.ndarray]:
    """Returns the part of the variance of responses that groups lose.

    That is what is left after each filter was fitted by least squares to its response
    before, with a constant, on the inputs of its own group (`carry_over="responses"`).

    Args:
        model: A functional or Sequential model with one input.
        counts: Numbers of groups to try, by name of convolutions without any.
        images: Sample images `(n, height, width, channels)`, as the model takes them.
        seed: Seed of the search for channels and of the choice of positions.
        batch_size: Images per run.

    Returns:
        By name, the lost part for each number of groups, 0 to 1.

    Raises:
        ValueError: Weights are not finite, or images do not fit the model.
    """
    images = convolutions.Samples.of(model, images)
    return {
        name: np.array([seen.lost(seen.fit(*option)) for option in options])
        for name, seen, options in _options(model, counts, images, seed, batch_size)
    }


def output_changes(
    model: keras.Model,
    counts: Mapping[str, Sequence[int]],
    images: np.ndarray,
    seed: int = 0,
    batch_size: int = 50,
    *,
    mixed: Collection[str] = (),
) -> dict[str, OutputChanges]:
    """Returns how much the network's outputs change with the groups of one layer.

    A network may need little of a layer that loses much of its own responses. The
    layer's kernel is replaced by the one that is fitted within groups, and the network
    run; the change is that of `convolutions.OutputDivergence`.

    Args:
        model: A functional or Sequential model with one input.
        counts: As for `lost_responses`.
        images: Sample images `(n, height, width, channels)`, as the model takes them;
            the network is run on the first 200.
        seed: Seed of the search for channels and of the choice of positions.
        batch_size: Images per run.
        mixed: Names of those that may get a 1x1. Where the layer has an activation, the
            change with a 1x1 is taken to be that without: a fit by least squares does
            not tell how much it helps behind one.

    Returns:
        By name, the changes, at least 0.

    Raises:
        ValueError: Weights are not finite, or images do not fit the model.
    """
    images = convolutions.Samples.of(model, images)
    every = _options(model, counts, images, seed, batch_size)
    copy = convolutions.with_biases(model, counts)
    layers = {name: layer for name, layer in graph.operations(copy) if name in counts}
    outputs = convolutions.OutputDivergence(copy, images.take(_IMAGES), batch_size)
    return {
        name: _changes(
            outputs,
            layers[name],
            seen,
            options,
            name in mixed and layers[name].activation is keras.activations.linear,
        )
        for name, seen, options in every
    }


def _options(model, counts, images, seed, batch_size) -> list[tuple]:
    """Of each layer name and input statistics, and groupings with their numbers."""
    seen = least_squares.input_statistics(model, counts, images, seed, batch_size)
    groupings = channel_order.groupings(model, counts, seed)
    return [
        (name, seen[name], list(zip(groupings[name], tries, strict=True)))
        for name, tries in counts.items()
    ]


def _changes(outputs, layer, seen, options, helped) -> OutputChanges:
    own = layer.get_weights()

    def change(kernel) -> float:
        shift = own[1] + seen.shift(kernel)
        layer.set_weights([kernel.astype("float32"), shift.astype("float32"), *own[2:]])
        return outputs.change()

    alone, mixed, responses = [], [], []
    for grouping, count in options:
        kernel = seen.fit(grouping, count)
        responses.append(seen.lost(kernel))
        alone.append(change(kernel) if count > 1 else 0.0)
        mixes = helped and count > 1
        mixed.append(change(seen.mix(kernel)) if mixes else alone[-1])
    layer.set_weights(own)
    return OutputChanges(*map(np.array, (alone, mixed, responses)))
