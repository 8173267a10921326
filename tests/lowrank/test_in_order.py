"""Decompositions in the order of the network, against least squares in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import decompose, graph
from keras_roots.convolutions import LayerFit, Samples
from keras_roots.lowrank import plan_decomposition
from keras_roots.lowrank.in_order import decompose_in_order, together
from keras_roots.lowrank.methods import METHODS, Target

SIDE = 7  # fewer positions than are chosen: all are seen


def _model(groups=1, **kwargs):
    """Two convolutions; the second has a bias only where asked for."""
    inputs = keras.Input((SIDE, SIDE, 4))
    x = layers.Conv2D(16, 3, activation="relu", padding="same", name="one")(inputs)
    x = layers.Conv2D(12, 3, groups=groups, name="two", **kwargs)(x)
    return keras.Model(inputs, x)


def _images(count=60, seed=0):
    """Few signals in many channels, as photographs are."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(count, SIDE, SIDE, 2))
    mixed = signals @ np.random.default_rng(7).normal(size=(2, 4))
    return (mixed + 0.3 * rng.normal(size=mixed.shape)).astype("float32")


def _reduced_rank(found, wanted, rank):
    """What the best approximation of `wanted` at a rank leaves of it, by NumPy."""
    found, wanted = found - found.mean(0), wanted - wanted.mean(0)
    fitted = found @ np.linalg.lstsq(found, wanted, rcond=None)[0]
    directions = np.linalg.svd(fitted, full_matrices=False)[2][:rank]
    return np.square(wanted - fitted @ directions.T @ directions).sum()


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_second_layer_makes_up_for_the_first(groups, use_bias):
    """Its answers are the best of its rank for what the first one gives it."""
    model, images = _model(groups, use_bias=use_bias), _images()
    rank = 4
    small = decompose(
        model, ranks={"one": 3, "two": rank}, method="responses", images=images
    )
    given = keras.Model(small.inputs, small.get_layer("one").output)(images)
    second = model.get_layer("two")
    found = np.asarray(second(given), "float64").reshape(-1, groups, 12 // groups)
    wanted = np.asarray(model(images), "float64").reshape(found.shape)
    answered = np.asarray(small(images), "float64").reshape(found.shape)
    each = rank // groups
    for group in range(groups):
        own = found[:, group], wanted[:, group]
        best = _reduced_rank(*own, each)
        left = np.square(wanted[:, group] - answered[:, group]).sum()
        assert best * (1 - 1e-6) <= left < 1.01 * best
        # By the principal directions of the original's own responses it is more.
        centred = own[1] - own[1].mean(0)
        directions = np.linalg.svd(centred, full_matrices=False)[2][:each]
        about = own[0] - own[1].mean(0)
        plain = np.square(centred - about @ directions.T @ directions).sum()
        assert left < plain


def test_the_first_layer_is_fitted_to_its_own_responses():
    """What it gets is what it got: leading directions of its responses."""
    model, images = _model(), _images()
    small = decompose(
        model, ranks={"one": 5, "two": 4}, method="responses", images=images
    )
    layer = model.get_layer("one")
    basis, again = small.get_layer("one_basis"), small.get_layer("one")
    wanted = np.asarray(layer.convolution_op(images, layer.kernel)).reshape(-1, 16)
    found = np.asarray(again.convolution_op(basis(images), again.kernel) + again.bias)
    found = found.reshape(-1, 16)
    left = np.square(found - wanted - np.asarray(layer.bias)).sum()
    best = _reduced_rank(*[wanted.astype("float64")] * 2, 5)
    np.testing.assert_allclose(left, best, rtol=1e-3)


def test_other_methods_come_before_it():
    """A layer that is decomposed by its filters changes what the next one is fed."""
    model, images = _model(), _images()
    method = {"one": "separable", "two": "responses"}
    small = decompose(model, ranks={"one": 3, "two": 4}, method=method, images=images)
    given = keras.Model(small.inputs, small.get_layer("one").output)(images)
    found = np.asarray(model.get_layer("two")(given), "float64").reshape(-1, 12)
    wanted, answered = (
        np.asarray(each(images), "float64").reshape(-1, 12) for each in (model, small)
    )
    left = np.square(wanted - answered).sum()
    assert left < 1.01 * _reduced_rank(found, wanted, 4)


def test_what_changed_before_is_made_up_for():
    """Another network's layers, one of which is fitted in the same pass."""
    model, images = _model(), _images()
    changed = graph.rewrite(model, lambda layer: None)
    one = changed.get_layer("one")
    one.set_weights([0.5 * weight for weight in one.get_weights()])
    before = changed.get_weights()

    def others(original, copy):
        layers = [each.get_layer("one") for each in (original, copy)]
        return [_Bias("one", *layers)]

    samples = Samples.of(model, images)
    chosen = {"two": ("responses", 4)}
    small = decompose_in_order(model, changed, chosen, samples, others=others)
    for found, want in zip(changed.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, want)
    np.testing.assert_allclose(small.get_layer("one").bias, 1)
    given = keras.Model(small.inputs, small.get_layer("one").output)(images)
    found = np.asarray(model.get_layer("two")(given), "float64").reshape(-1, 12)
    wanted, answered = (
        np.asarray(each(images), "float64").reshape(-1, 12) for each in (model, small)
    )
    left = np.square(wanted - answered).sum()
    assert left < 1.01 * _reduced_rank(found, wanted, 4)


class _Bias(LayerFit):
    """Makes all biases one."""

    def add(self, seen, answers):
        pass

    def apply(self):
        self.changed.bias.assign(np.ones(self.changed.filters))
        return [self.changed]


@pytest.mark.parametrize("count", [2, 60])
def test_nothing_is_lost_at_full_rank(count):
    """Few samples too: what they do not tell stays what it was."""
    model, images = _model(), _images(count)
    plan = plan_decomposition(
        model,
        ranks={"one": 16, "two": 12},
        method="responses",
        cost=None,
        images=images,
    )
    fresh = _images(seed=5)
    np.testing.assert_allclose(
        np.asarray(plan.apply()(fresh)), np.asarray(model(fresh)), atol=1e-4
    )


@pytest.mark.parametrize("method", ["pca", "svd", "kmeans", "separable"])
@pytest.mark.parametrize("groups", [1, 2])
def test_two_kernels_make_one(method, groups):
    """The kernel of both together answers what they do one after the other."""
    kernel = np.random.default_rng(0).normal(size=(3, 5, 4 // groups, 8))
    factors = METHODS[method].factorise(Target(kernel, groups), 2)
    images = np.random.default_rng(1).normal(size=(2, SIDE, SIDE, 4)).astype("float32")
    answers = images
    for each in factors[:2]:
        layer = layers.Conv2D(each.shape[-1], each.shape[:2], groups=groups)
        layer.build(answers.shape)
        layer.set_weights([each, np.zeros(each.shape[-1])])
        answers = np.asarray(layer(answers))
    layer = layers.Conv2D(8, (3, 5), groups=groups)
    layer.build(images.shape)
    layer.set_weights([together(factors, groups), np.zeros(8)])
    np.testing.assert_allclose(answers, np.asarray(layer(images)), atol=1e-4)
