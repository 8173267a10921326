"""Whatever keeps what a network computes does so for networks drawn at random.

With `KERAS_ROOTS_NETWORKS=1000` in the environment, so many are tried; with `500:1000`
those of these seeds.
"""

import os

import keras
import numpy as np
import pytest
import random_networks
from keras import layers

from keras_roots import graph
from keras_roots.convolutions import recalibrate
from keras_roots.export import pack_groups
from keras_roots.export.rewrites import REWRITES, rewrite
from keras_roots.groups import groupable, rootify
from keras_roots.groups.channel_order import put_in_order
from keras_roots.lowrank import decompose
from keras_roots.lowrank.methods import METHODS
from keras_roots.sparsity import dead_filters, prune, remove_dead_filters

FEW = 8  # a minute


def _seeds():
    first, _, last = os.environ.get("KERAS_ROOTS_NETWORKS", str(FEW)).rpartition(":")
    return range(int(first or 0), int(last))


def _outputs(model, images):
    given = images if len(images) > 1 else images[0]
    return [np.asarray(y) for y in keras.tree.flatten(model(given, training=False))]


class _Trial:
    """A network, inputs, and what it computes of them."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.model, self.images = random_networks.network(seed)
        self.expected = _outputs(self.model, self.images)
        self._loads = None

    def check(self, what, model, expected=None, rounding=1e-6):
        """Compares a model with the network."""
        found = _outputs(model, self.images)
        for ours, theirs in zip(found, expected or self.expected, strict=True):
            assert ours.shape == theirs.shape, what
            allowed = rounding * (1 + np.abs(theirs).max())
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=allowed, err_msg=what)

    def loads(self, folder):
        """Whether Keras loads the network itself, which it does not always."""
        if self._loads is None:
            self.model.save(folder / "own.keras")
            try:
                keras.saving.load_model(folder / "own.keras", safe_mode=False)
                self._loads = True
            except ValueError:  # of a layer that models within the model share
                self._loads = False
        return self._loads

    def opaque(self):
        """Whether a model within it has a `call` of its own: nothing can be counted."""
        every = [layer for _, layer in graph.operations(self.model)]
        return any(isinstance(layer, random_networks.Doubled) for layer in every)

    def convolutions(self, model=None):
        """The convolutions that may change, by name, of the network or of another."""
        return {
            name: layer
            for name, layer in graph.operations(model or self.model)
            if graph.is_a(layer, layers.Conv2D)
        }


def _copies(trial, tmp_path):
    copy = graph.rewrite(trial.model, lambda layer: None)
    trial.check("copy", copy)
    names = [name for name, _ in graph.operations(trial.model)]
    assert [name for name, _ in graph.operations(copy)] == names
    if trial.loads(tmp_path):
        copy.save(tmp_path / "copy.keras")
        loaded = keras.saving.load_model(tmp_path / "copy.keras", safe_mode=False)
        trial.check("loaded", loaded)
    if trial.convolutions():
        trial.check("pruned by nothing", prune(trial.model, 0.0))


def _parts(trial, tmp_path):
    parts = graph.take_apart(trial.model)
    trial.check("taken apart", parts)
    whole = graph.put_together(parts, trial.model)
    trial.check("put together", whole)
    kinds = [
        [(name, type(layer)) for name, layer in graph.operations(model)]
        for model in (trial.model, whole)
    ]
    assert kinds[0] == kinds[1]


def _rewrites(trial, tmp_path):
    for name in REWRITES:
        trial.check(name, rewrite(trial.model, name, "int8")[0])
    every, changes = rewrite(trial.model, list(REWRITES), "int8")
    trial.check(f"all rewrites: {changes}", every)
    if trial.loads(tmp_path):
        every.save(tmp_path / "rewritten.keras")
        loaded = keras.saving.load_model(tmp_path / "rewritten.keras", safe_mode=False)
        trial.check("loaded after all rewrites", loaded)
    for channels in (2, 8):
        trial.check(f"packed to {channels}", pack_groups(trial.model, channels))


def _decompositions(trial, tmp_path):
    chosen = {
        name: layer
        for name, layer in trial.convolutions(graph.take_apart(trial.model)).items()
        if not 1 < layer.groups == layer.filters
    }
    for method in ("pca", "svd", "separable"):
        ranks = {
            name: METHODS[method].full_rank(layer.kernel.shape, layer.groups)
            for name, layer in chosen.items()
            if method != "separable" or layer.kernel_size != (1, 1)
        }
        if ranks and trial.opaque():
            with pytest.raises(ValueError, match="a `call` of its own"):
                decompose(trial.model, method=method, ranks=ranks, cost=None)
        elif ranks:
            small = decompose(trial.model, method=method, ranks=ranks, cost=None)
            trial.check(f"{method} at full rank", small)


def _orders(trial, tmp_path):
    spaces = graph.channel_spaces(trial.model)
    orders = {
        space: trial.rng.permutation(spaces.size(space))
        for space in spaces
        if not spaces.pinned(space)
    }
    permuted = graph.permute_channels(trial.model, spaces, orders)
    trial.check("permuted channels", permuted)
    counts = {
        name: divisors[-1]
        for name, layer, _ in groupable(trial.model).values()
        if (divisors := _divisors(layer))
    }
    trial.check("channels by groups", put_in_order(trial.model, counts))


def _divisors(layer):
    channels, filters = layer.kernel.shape[2], layer.filters
    return [n for n in range(2, 9) if channels % n == filters % n == 0]


def _groups(trial, tmp_path):
    """Groups lose nothing where kernels have zeros for the inputs of others."""
    counts = {
        name: (layer, divisors[0])
        for name, layer, _ in groupable(trial.model).values()
        if (divisors := _divisors(layer))
    }
    for layer, count in counts.values():
        kernel = np.array(layer.kernel)
        sides = (np.arange(n) * count // n for n in kernel.shape[2:])
        layer.kernel.assign(kernel * np.equal.outer(*sides))
    if counts and not trial.opaque():
        root = {name: count for name, (_, count) in counts.items()}
        expected = _outputs(trial.model, trial.images)
        for how in ({}, {"mix": True}):
            grouped = rootify(trial.model, root, carry_over="slice", **how)
            trial.check(f"grouped {how}", grouped, expected)


def _removals(trial, tmp_path):
    for layer in trial.convolutions().values():
        kernel = np.array(layer.kernel)
        layer.kernel.assign(kernel * (trial.rng.random(layer.filters) > 0.4))
    expected = _outputs(trial.model, trial.images)
    small = remove_dead_filters(trial.model, 0.0)
    # Constants go through activations in float32.
    trial.check("without dead filters", small, expected, rounding=1e-5)
    removable = dead_filters(trial.model, 0.0).removable
    sizes = [model.count_params() for model in (trial.model, small)]
    assert (sizes[1] < sizes[0]) == bool(removable)


def _statistics(trial, tmp_path):
    """Statistics of one batch are those that a step of training leaves."""
    steps = [step.operation for step in graph.Program(trial.model).steps]
    norms = [layer for layer in steps if graph.is_a(layer, layers.BatchNormalization)]
    differ = (layers.Dropout, random_networks.Negated, random_networks.Doubled)
    shared = len(norms) > len(set(map(id, norms)))
    if not norms or shared or any(isinstance(layer, differ) for layer in steps):
        return
    images = trial.images if len(trial.images) > 1 else trial.images[0]
    at_once = {id(layer): {"momentum": 0.0} for layer in norms}
    trained = graph.reconfigure(trial.model, lambda layer: at_once.get(id(layer)))
    trained(images, training=True)
    found = recalibrate(trial.model, images).get_weights()
    for ours, theirs in zip(found, trained.get_weights(), strict=True):
        allowed = 1e-4 * (1 + np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=allowed)


CHECKS = (
    _copies,
    _parts,
    _rewrites,
    _decompositions,
    _orders,
    _statistics,
    _groups,
    _removals,
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", _seeds())
def test_a_random_network_computes_the_same(seed, tmp_path):
    trial = _Trial(seed)
    for check in CHECKS:  # the last two change the network's weights
        check(trial, tmp_path)
        if check not in (_groups, _removals):
            trial.check(f"{check.__name__} leaves the network", trial.model, None, 0)
