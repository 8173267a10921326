"""Changes of outputs with the rank of one layer, against decomposed networks."""

import math

import helpers
import keras
import numpy as np
import pytest

from keras_roots.compression.options import layer_options
from keras_roots.convolutions import Convolution, Samples
from keras_roots.lowrank import Candidate, factorise, replace_layers, with_responses


def _model(groups):
    rng = np.random.default_rng(0)
    layers = [
        keras.Input((8, 8, 8)),
        keras.layers.Conv2D(
            16, 3, groups=groups, use_bias=False, activation="relu", name="conv"
        ),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, name="end"),
    ]
    model = keras.Sequential(layers)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model, rng.normal(size=(30, 8, 8, 8)).astype("float32")


@pytest.mark.parametrize("groups", [1, 2])
def test_losses_are_the_changes_of_the_networks_outputs(groups):
    model, images = _model(groups)
    how = {"ways": ("rank",), "rank_multiple": 2, "judge": "outputs"}
    whole, *options = layer_options(model, images, **how)["conv"]
    assert whole.loss == 0.0 and len(options) > 1
    layer = model.get_layer("conv")
    whole = Convolution.of(layer, [(8, 8)])
    methods = "responses", "separable_responses"
    assert {option.method for option in options} == set(methods)
    found = {name: Candidate.of("conv", name, layer, whole) for name in methods}
    found = with_responses(model, found, Samples.of(model, images))
    expected = model.predict(images, verbose=0)

    def change(option):
        target = found[option.method].target
        factors = factorise(option.method, target, option.value)
        small = replace_layers(model, {id(layer): (option.method, factors)})
        change = np.square(small.predict(images, verbose=0) - expected).mean()
        return change / (2 * expected.var(axis=0).mean())

    for method in methods:
        own = [option for option in options if option.method == method]
        tried = sorted({round(i * (len(own) - 1) / 3) for i in range(4)})
        changes = {i: change(own[i]) for i in tried}
        for i, option in enumerate(own):
            low, high = max(k for k in tried if k <= i), min(k for k in tried if k >= i)
            wanted = changes[low]
            if low < i:  # a power of the error, between those that are tried
                errors = [own[k].error for k in (low, i, high)]
                part = math.log(errors[1] / errors[0]) / math.log(errors[2] / errors[0])
                wanted *= (changes[high] / changes[low]) ** part
            assert option.loss == pytest.approx(wanted, rel=1e-3)


def test_groups_and_ranks_are_judged_alike():
    """The weights of the model stay as they are."""
    model, images = helpers.spatial_pair(), helpers.normal_images()
    before = model.get_weights()
    options = layer_options(model, images, groups=4, judge="outputs")
    ways = {option.way for choices in options.values() for option in choices}
    assert ways == {None, "groups", "rank"}
    for weight, same in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)
