"""Lower ranks in the middle of training: same function, same state of the optimiser."""

import keras
import numpy as np
import pytest

from keras_roots import decompose, shrink
from keras_roots.lowrank.shrink import find_pairs


def _assert_same(model, other, batch, atol=1e-4):
    found, want = (each(batch[0], training=False) for each in (model, other))
    np.testing.assert_allclose(np.asarray(found), np.asarray(want), atol=atol)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("method", ["pca", "svd", "separable", "kmeans"])
def test_what_adds_nothing_is_left_out(decomposed, batch, method, groups):
    model = decomposed(method, groups)
    small = shrink(model, 1e-9)
    suffix = "vertical" if method == "separable" else "basis"
    first = small.get_layer(f"conv_{suffix}")
    assert first.filters == 3 * groups
    assert small.get_layer("conv").kernel.shape[2] == 3
    assert model.get_layer(f"conv_{suffix}").filters == 6 * groups
    _assert_same(small, model, batch)


def test_error_of_the_product(decomposed):
    """Energies 9, 4, 1: at a bound of 0.1 the last direction goes."""
    model = decomposed()
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(6, 6))  # another basis of the same product
    first, second = model.get_layer("conv_basis"), model.get_layer("conv")
    basis, weights = first.get_weights()[0], second.get_weights()[0]
    first.set_weights([np.concatenate([basis[..., :6] @ mixing, basis[..., 6:]], -1)])
    unmixed = np.einsum("no,yxof->yxnf", np.linalg.inv(mixing), weights[..., :8])
    second.set_weights([np.concatenate([unmixed, weights[..., 8:]], -1)])
    small = shrink(model, 0.1)
    assert small.get_layer("conv_basis").filters == 4
    for group in range(2):
        products = []
        for network, rank in ((model, 6), (small, 2)):
            one = network.get_layer("conv_basis").get_weights()[0].reshape(-1, 2, rank)
            two = network.get_layer("conv").get_weights()[0].reshape(rank, 2, 8)
            products.append(one[:, group] @ two[:, group])
        left, values, right = np.linalg.svd(products[0])
        best = left[:, :2] * values[:2] @ right[:2]
        np.testing.assert_allclose(products[1], best, atol=1e-4)


def test_pairs_within_models(decomposed, batch):
    inputs = keras.Input((12, 12, 6))
    outer = keras.Sequential([inputs, decomposed()])
    outer = decompose(outer, ranks={f"{outer.layers[-1].name}/first": 4}, cost=None)
    found = [(first.name, second.name) for first, second in find_pairs(outer)]
    assert found == [("first_basis", "first"), ("conv_basis", "conv")]
    small = shrink(outer, 1e-9)
    _assert_same(small, outer, batch)
    assert [first.filters for first, _ in find_pairs(small)] == [4, 6]


def _reached(basis, pointwise, branch=False):
    inputs = keras.Input((12, 12, 6))
    x = basis(inputs)
    y = pointwise(x)
    return keras.Model(inputs, [y, x] if branch else y)


@pytest.mark.parametrize(
    ("basis", "pointwise", "branch"),
    [
        ({"use_bias": True}, {}, False),
        ({"activation": "relu"}, {}, False),
        ({"name": "other"}, {}, False),
        ({}, {"kernel_size": 3}, False),
        ({}, {"groups": 2}, False),
        ({}, {}, True),
    ],
)
def test_what_is_no_pair(conv, basis, pointwise, branch):
    basis = {"name": "conv_basis", "use_bias": False, **basis}
    pointwise = {"kernel_size": 1, "name": "conv", **pointwise}
    model = _reached(conv(4, 3, **basis), conv(8, **pointwise), branch)
    with pytest.raises(ValueError, match="decomposed.*Received: model="):
        shrink(model, 0.1)


def test_what_is_a_pair(conv):
    basis = conv(4, 3, name="conv_basis", use_bias=False)
    assert find_pairs(_reached(basis, conv(8, 1, name="conv")))


@pytest.mark.parametrize("error", [0, 1, -1, "little"])
def test_error_out_of_bounds(decomposed, error):
    with pytest.raises(
        ValueError, match="`error` must be a number above 0 and below 1"
    ):
        shrink(decomposed(), error)


def test_all_zero(decomposed, batch):
    model = decomposed()
    second = model.get_layer("conv")
    second.set_weights([0 * weight for weight in second.get_weights()])
    small = shrink(model, 0.1)
    assert small.get_layer("conv_basis").filters == 2
    _assert_same(small, model, batch, atol=1e-6)


def test_not_compiled_stays_so(decomposed):
    assert not shrink(decomposed(), 0.5).compiled


def test_dense_layers_shrink_and_train_on():
    """As NumPy truncates what both compute, and as momentum goes through it."""
    inputs = keras.Input((20,))
    fc = keras.layers.Dense(12, activation="relu", name="fc")
    model = keras.Model(inputs, keras.layers.Dense(3, name="head")(fc(inputs)))
    small = decompose(model, ranks={"fc": 8}, cost=None)
    images = np.random.default_rng(0).normal(size=(16, 20)).astype("float32")
    small.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    small.fit(images, np.ones((16, 3)), verbose=0)
    shrunk = shrink(small, 0.3)
    first, second = (small.get_layer(name) for name in ("fc_basis", "fc"))
    kernel = first.get_weights()[0].astype("float64") @ second.get_weights()[0]
    left, values, right = np.linalg.svd(kernel, full_matrices=False)
    energies = 1 - np.cumsum(values**2) / (values**2).sum()
    rank = int(np.argmax(energies <= 0.3)) + 1
    assert shrunk.get_layer("fc_basis").units == rank < 8
    found = [shrunk.get_layer(name).get_weights()[0] for name in ("fc_basis", "fc")]
    wanted = left[:, :rank] * values[:rank] @ right[:rank]
    np.testing.assert_allclose(found[0] @ found[1], wanted, atol=1e-5)
    assert [m.shape for m in shrunk.optimizer.momentums[:2]] == [(20, rank), (rank, 12)]
    assert all(np.any(m.numpy()) for m in shrunk.optimizer.momentums)
    shrunk.fit(images, np.ones((16, 3)), verbose=0)
