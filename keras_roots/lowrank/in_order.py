"""Ranks by responses, layer by layer, from what the decomposed network gives each."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.convolutions import LayerFit, ResponseStatistics, Samples
from keras_roots.lowrank.methods import METHODS, Factors, Target

Choice = tuple[str, int]  # method, and rank over all groups


def targets_in_order(
    model: keras.Model,
    chosen: Mapping[str, Choice],
    images: Samples,
    seed: int | None = 0,
) -> dict[str, Target]:
    """Returns what each layer of a model is to be approximated by, in its place.

    The responses of a layer that is decomposed by them are fitted to those of the
    model, from the inputs that the layers before it give when they are decomposed.

    Args:
        model: A functional or Sequential model.
        chosen: Method and rank by name of layer.
        images: Sample images.
        seed: Seed of the choice of positions.

    Raises:
        ValueError: Weights or responses are not finite.
    """
    original = convolutions.runnable(model)
    changed = convolutions.with_biases(original, chosen)
    fits = rank_fits(original, changed, chosen, seed)
    convolutions.reconstruct(original, changed, fits, images)
    return {fit.name: fit.target for fit in fits}


def rank_fits(
    original: keras.Model,
    changed: keras.Model,
    chosen: Mapping[str, Choice],
    seed: int | None = 0,
) -> list["_RankFit"]:
    """Returns what fits decomposed layers, for `convolutions.reconstruct`.

    Layers whose method does not go by responses are changed at once.

    Args:
        original: The original model.
        changed: A model of the same operations; layers to decompose have biases.
        chosen: Method and rank by name of layer.
        seed: Seed of the choice of positions.
    """
    originals, layers = (dict(graph.operations(each)) for each in (original, changed))
    fits = []
    for name, (method, rank) in chosen.items():
        fit = _RankFit(name, originals[name], layers[name], method, rank, seed)
        if METHODS[method].by_responses:
            fits.append(fit)
        else:
            fit.approximate(None)
    return fits


class _RankFit(LayerFit):
    """The best approximation at a rank of what the original layer answers.

    `target` is what the layer is approximated by, once it is fitted.
    """

    def __init__(self, name, original, changed, method, rank, seed=0):
        super().__init__(name, original, changed, seed)
        self.target: Target | None = None
        self._method, self._rank = METHODS[method], rank
        self._moments = convolutions.Moments()

    def add(self, seen, answers):
        groups = self.changed.groups
        bias = keras.ops.convert_to_numpy(self.changed.bias)
        found = convolutions.respond(self.changed, seen)
        self._moments.add(
            *((each - bias).reshape(len(each), groups, -1) for each in (found, answers))
        )

    def apply(self):
        moments = self._moments
        count = moments.mean.shape[1]
        self.approximate(
            ResponseStatistics(
                moments.mean.ravel(),
                moments.covariance,
                moments.answer_mean.ravel(),
                moments.products[..., count:] / moments.count,
            )
        )
        return [self.changed]

    def approximate(self, responses: ResponseStatistics | None) -> None:
        """Gives the changed layer the kernel that its two factors make together."""
        layer = self.changed
        kernel = convolutions.read_kernels(self.name, layer)
        self.target = Target(kernel, layer.groups, responses)
        factors = self._method.factorise(self.target, self._rank // layer.groups)
        layer.kernel.assign(together(factors, layer.groups))
        if factors.shift is not None:
            layer.bias.assign_add(factors.shift)


def together(factors: Factors, groups: int) -> np.ndarray:
    """Returns the kernel of one convolution that does what two do.

    Args:
        factors: Kernels of the two, the second of which is as high or as wide as the
            first is not.
        groups: Filter groups of both.

    Returns:
        `[height, width, channels / groups, N]`.
    """
    first, second = (
        kernel.reshape(*kernel.shape[:3], groups, -1)
        for kernel in (factors.first, factors.second)
    )
    kernel = np.einsum("abcgm,demgn->adbecgn", first, second)
    rows, more, columns, wider, channels = kernel.shape[:5]
    return kernel.reshape(rows * more, columns * wider, channels, -1)
