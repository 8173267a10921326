"""Ranks by responses, layer by layer, from what the decomposed network gives each."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.convolutions import Convolution, LayerFit, ResponseStatistics, Samples
from keras_roots.lowrank.methods import METHODS, Factors, Target, factorise
from keras_roots.lowrank.replacement import replace_layers

Choice = tuple[str, int]  # method, and rank over all groups


def factors_in_order(
    original: keras.Model,
    changed: keras.Model,
    chosen: Mapping[str, Choice],
    images: Samples,
    seed: int | None = 0,
    others: Sequence[LayerFit] = (),
) -> dict[str, Factors]:
    """Fits decompositions, layer by layer, to what the original network answers.

    Each layer is fitted from the inputs that the layers before it give when they are
    decomposed (`convolutions.reconstruct`).

    Args:
        original: The original network.
        changed: A network of the same operations, in which layers to decompose have
            biases. Their weights are in the end what they were.
        chosen: Method and rank by name of layer. Layers whose method does not go by
            responses are changed before all others are fitted.
        images: Sample images.
        seed: Seed of the choice of positions.
        others: What fits other layers of `changed`, or fits these before they are
            decomposed; they stay so.

    Returns:
        By name what each layer is decomposed into.

    Raises:
        ValueError: Weights or responses are not finite.
    """
    originals, layers = (dict(graph.operations(each)) for each in (original, changed))
    fits = {
        name: _RankFit(name, originals[name], layers[name], *choice, seed)
        for name, choice in chosen.items()
    }
    for name, (method, _) in chosen.items():
        if not METHODS[method].by_responses:
            fits[name].approximate(None)
    in_order = [fit for fit in fits.values() if fit.factors is None]
    convolutions.reconstruct(original, changed, [*others, *in_order], images)
    for fit in fits.values():
        fit.restore()
    return {name: fit.factors for name, fit in fits.items()}


def decompose_in_order(
    original: keras.Model,
    changed: keras.Model,
    chosen: Mapping[str, Choice],
    images: Samples,
    seed: int | None = 0,
    others: Callable[[keras.Model, keras.Model], Sequence[LayerFit]] | None = None,
) -> keras.Model:
    """Returns a changed network decomposed by responses, fitted to the original's.

    Args:
        original: The original network.
        changed: A network of the same operations, with filter groups for instance. It
            stays as it is.
        chosen: As for `factors_in_order`.
        images: Sample images.
        seed: Seed of the choice of positions.
        others: Function of copies of the two networks, the second of which is changed,
            that returns what fits other layers, in the same pass.

    Raises:
        ValueError: Weights or responses are not finite.
    """
    original = convolutions.runnable(original)
    copy = convolutions.with_biases(convolutions.runnable(changed), chosen)
    fits = others(original, copy) if others else ()
    factors = factors_in_order(original, copy, chosen, images, seed, fits)
    fitted = copy if others else changed
    layers = dict(graph.operations(fitted))
    return replace_layers(
        fitted,
        {id(layers[name]): (chosen[name][0], factors[name]) for name in chosen},
    )


class _RankFit(LayerFit):
    """The best approximation at a rank of what the original layer answers.

    `factors` is what the layer is decomposed into, once it is fitted.
    """

    def __init__(self, name, original, changed, method, rank, seed=0):
        super().__init__(name, original, changed, seed)
        self.factors: Factors | None = None
        self._method, self._rank = method, rank
        self._moments = convolutions.Moments()
        self._groups = Convolution.of(changed).groups
        self._basis: np.ndarray | None = None

    def add(self, seen, answers):
        if self._basis is None:  # others may fit the layer before
            self._basis = self._kernel()
            basis = METHODS[self._method].basis
            if basis is not None:
                target = Target(self._basis, self._groups)
                self._basis = basis(target, self._rank // self._groups)
        found = convolutions.features(self._basis, self._groups, seen)
        answers = answers - keras.ops.convert_to_numpy(self.changed.bias)
        self._moments.add(found, answers.reshape(len(answers), self._groups, -1))

    def apply(self):
        self.approximate(ResponseStatistics.of(self._moments))
        return [self.changed]

    def approximate(self, responses: ResponseStatistics | None) -> None:
        """Gives the changed layer the kernel that its two factors make together."""
        layer = self.changed
        kernel = self._kernel()
        self._before = kernel, keras.ops.convert_to_numpy(layer.bias)
        target = Target(kernel, self._groups, responses)
        self.factors = factorise(self._method, target, self._rank)
        convolutions.assign_kernel(layer, together(self.factors, self._groups))
        if self.factors.shift is not None:
            layer.bias.assign_add(self.factors.shift)

    def _kernel(self):
        return convolutions.read_kernels(self.name, self.changed)

    def restore(self) -> None:
        """Gives the changed layer the weights back that it had before."""
        kernel, bias = self._before
        convolutions.assign_kernel(self.changed, kernel)
        self.changed.bias.assign(bias)


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
