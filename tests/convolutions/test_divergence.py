"""How much outputs change with weights, against formulas by hand."""

import keras
import numpy as np
import pytest

from keras_roots.convolutions import OutputDivergence, Samples


def _measured(activation, before, after, images):
    layer = keras.layers.Dense(3, activation=activation, use_bias=False)
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.set_weights([before])
    outputs = OutputDivergence(model, Samples.of(model, images), 10)
    assert outputs.change() == 0.0
    layer.set_weights([after])
    return outputs.change()


def _drawn():
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in ((4, 3), (4, 3), (30, 4))]


def test_probabilities_change_by_their_divergence():
    before, after, images = _drawn()
    one, other = (np.exp(images @ kernel) for kernel in (before, after))
    one, other = (x / x.sum(axis=1, keepdims=True) for x in (one, other))
    expected = (one * np.log(one / other)).sum(axis=1).mean()
    assert _measured("softmax", before, after, images) == pytest.approx(expected, 1e-4)


def test_other_outputs_change_by_half_of_the_variance():
    before, after, images = _drawn()
    one, other = images @ before, images @ after
    expected = np.square(one - other).mean() / (2 * one.var(axis=0).mean())
    assert _measured(None, before, after, images) == pytest.approx(expected, 1e-4)
