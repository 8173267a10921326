"""How much a network's outputs change with its weights."""

import keras
import numpy as np

from keras_roots.convolutions.samples import Samples

_CERTAIN = 1e-3  # how far sums of probabilities may be from one
_ROUNDING = 1e-7  # a change that networks in float32 cannot tell from none
_LEAST = 1e-9  # a probability of zero would have no logarithm


class OutputDivergence:
    """The outputs of a network as it is, and how much they change with its weights.

    The change of probabilities is their Kullback-Leibler divergence from those before,
    in nats; that of other outputs is the divergence of normal distributions of their
    variance, half the part of the variance that changed.

    Args:
        model: The network.
        images: Samples of its inputs.
        batch_size: Samples per run.
    """

    def __init__(self, model: keras.Model, images: Samples, batch_size: int):
        self._model, self._images, self._batch_size = model, images, batch_size
        self._first = self._run()

    def change(self) -> float:
        """Returns the divergence from the outputs before, of all of them together."""
        pairs = zip(self._first, self._run(), strict=True)
        found = float(sum(_divergence(*pair) for pair in pairs))
        return found if found > _ROUNDING else 0.0

    def _run(self) -> list[np.ndarray]:
        found = self._images.outputs(self._model, self._batch_size)
        return [np.asarray(x, "float64") for x in found]


def _divergence(before, after) -> float:
    if (before >= 0).all() and np.allclose(before.sum(-1), 1, atol=_CERTAIN):
        logarithms = [np.log(np.maximum(x, _LEAST)) for x in (before, after)]
        return (before * (logarithms[0] - logarithms[1])).sum(-1).mean()
    variance = np.square(before - before.mean(axis=0)).mean()
    change = np.square(before - after).mean()
    return change / (2 * variance) if variance > 0 else change
