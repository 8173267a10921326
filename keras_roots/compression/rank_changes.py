"""How much a network's outputs change with a lower rank of one layer."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.convolutions import OutputDivergence, Samples
from keras_roots.lowrank import Candidate, factorise, together
from keras_roots.utils import progress

SAMPLES = 64  # that the whole network runs on, for each rank
_BATCH = 50


def rank_changes(
    model: keras.Model,
    ranks: Mapping[str, Sequence[tuple[Candidate, int]]],
    images: Samples,
) -> dict[str, list[float]]:
    """Returns how much the network's outputs change with lower ranks of single layers.

    The kernel of one layer is replaced by the product of the two that would take its
    place, and the network run, as `groups.output_changes` does for filter groups.

    Args:
        model: A functional or Sequential model.
        ranks: By name of layer, how it would be decomposed and the rank, for each try.
        images: Samples of its inputs; the network is run on the first 64.

    Returns:
        By name, the divergence of the outputs for each try, as `OutputDivergence` has
        it, at least 0.
    """
    copy = convolutions.with_biases(model, ranks)
    layers = {name: layer for name, layer in graph.operations(copy) if name in ranks}
    outputs = OutputDivergence(copy, images.take(SAMPLES), _BATCH)
    found = {}
    for name in progress(list(ranks)):
        layer = layers[name]
        own = layer.get_weights()
        found[name] = []
        for candidate, rank in ranks[name]:
            kernel, shift = _combined(candidate, rank)
            kernel = kernel.reshape(own[0].shape)
            layer.set_weights([kernel, own[1] + shift, *own[2:]])
            found[name].append(outputs.change())
        layer.set_weights(own)
    return found


def _combined(candidate, rank) -> tuple[np.ndarray, np.ndarray]:
    """The one kernel that computes what two do, and how much higher its biases are."""
    target = candidate.target
    factors = factorise(candidate.method_name, target, rank)
    kernel = together(factors, target.groups)
    shift = 0.0 if factors.shift is None else factors.shift
    return kernel.astype("float32"), np.asarray(shift, "float32")
