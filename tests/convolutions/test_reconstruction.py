"""Layers fitted in the order of the network, against whole runs of both networks."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import graph
from keras_roots.convolutions.reconstruction import LayerFit, reconstruct
from keras_roots.convolutions.samples import Samples

SIDE = 6  # fewer positions than are chosen: all are seen, row by row


def _chain():
    inputs = x = keras.Input((SIDE, SIDE, 3))
    for name in ("one", "two", "three"):
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name=name)(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def _residual():
    """A layer that is called twice, within a model that is called twice."""
    inner_inputs = keras.Input((SIDE, SIDE, 4))
    twice = layers.Conv2D(4, 3, padding="same", name="twice")
    x = twice(layers.ReLU()(twice(inner_inputs)))
    inner = keras.Model(inner_inputs, layers.Add()([x, inner_inputs]), name="inner")
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 1, name="first")(inputs)
    x = layers.BatchNormalization(name="norm")(inner(x))
    x = layers.Conv2D(4, 3, padding="same", name="last")(inner(x))
    return keras.Model(inputs, layers.Flatten()(x))


MODELS = {_chain: ["two", "one", "three"], _residual: ["inner/twice", "first", "last"]}


class _Halve(LayerFit):
    """Writes down what a layer sees and should answer, and halves its kernel then."""

    def __init__(self, *args):
        super().__init__(*args)
        self.met, self.answers = [], []

    def add(self, seen, answers):
        self.met.append(seen.sum((2, 3, 4)))
        self.answers.append(answers)

    def apply(self):
        kernel, *bias = self.changed.get_weights()
        self.changed.set_weights([kernel / 2, *bias])
        return [self.changed]


def _images(count=7):
    return np.random.default_rng(0).normal(size=(count, SIDE, SIDE, 3)).astype("f")


def _called_on(model, layer, images):
    """All that a layer is called on, in a run of the whole network."""
    found = []

    def call(name, operation, args, kwargs):
        if operation is layer:
            found.append(np.asarray(args[0]))
        return operation(*args, **kwargs)

    graph.walk(model, [keras.ops.convert_to_tensor(images)], call)
    return found


def _sums(maps):
    """Sums of all that a 3x3 window, or a 1x1, sees of maps."""
    total = maps.sum(-1)
    padded = np.pad(total, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return {3: windows.sum((-1, -2)), 1: total}


@pytest.mark.parametrize("memory", [0, 2**30])
@pytest.mark.parametrize("make", MODELS)
def test_layers_see_what_the_changed_network_gives_them(make, memory):
    original = make()
    for layer in original.layers:
        layer.set_weights([w + 0.1 for w in layer.get_weights()])
    changed = graph.rewrite(original, lambda layer: None)
    images = _images()
    pairs = {
        name: (layer, dict(graph.operations(changed))[name])
        for name, layer in graph.operations(original)
    }
    fits = [_Halve(name, *pairs[name]) for name in MODELS[make]]
    samples = Samples.of(original, images)
    reconstruct(original, changed, fits, samples, batch_size=4, memory=memory)
    # Again, one after the other in the order of the network, by whole runs.
    again = graph.rewrite(original, lambda layer: None)
    operations = dict(graph.operations(again))
    for name in [name for name in operations if name in MODELS[make]]:
        fit = next(fit for fit in fits if fit.name == name)
        layer = operations[name]
        size = layer.kernel_size[0]
        met = _called_on(again, layer, images)
        calls = len(met)
        for call in range(calls):
            found = np.concatenate(fit.met[call::calls])
            want = _sums(met[call])[size].reshape(len(images), -1)
            np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)
        original_layer = pairs[name][0]
        wanted = [
            np.asarray(original_layer.convolution_op(each, original_layer.kernel))
            + np.asarray(original_layer.bias)
            for each in _called_on(original, original_layer, images)
        ]
        for call in range(calls):
            found = np.concatenate(fit.answers[call::calls])
            np.testing.assert_allclose(
                found, wanted[call].reshape(found.shape), rtol=1e-4, atol=1e-4
            )
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel / 2, bias])
    for found, want in zip(changed.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(("memory", "first"), [(0, 2), (2**30, 1)])
def test_what_is_kept_is_not_computed_again(memory, first):
    """Calls of layers of the changed network, for three fits on one batch."""
    original = _chain()
    changed = graph.rewrite(original, lambda layer: None)
    count = {"one": 0, "two": 0, "three": 0}
    for name in count:
        layer = changed.get_layer(name)
        inner = layer.call

        def call(inputs, name=name, inner=inner):
            count[name] += 1
            return inner(inputs)

        layer.call = call
    names = MODELS[_chain]
    fits = [_Halve(n, original.get_layer(n), changed.get_layer(n)) for n in names]
    samples = Samples.of(original, _images())
    reconstruct(original, changed, fits, samples, memory=memory)
    assert count == {"one": first, "two": 1, "three": 0}


def test_answers_that_are_no_numbers_are_named():
    original = _chain()
    one = original.get_layer("one")
    one.set_weights([np.full(w.shape, np.nan) for w in one.get_weights()])
    changed = graph.rewrite(original, lambda layer: None)
    fit = _Halve("two", original.get_layer("two"), changed.get_layer("two"))
    with pytest.raises(ValueError, match="`model` must answer `images`.*'two'"):
        reconstruct(original, changed, [fit], Samples.of(original, _images()))
