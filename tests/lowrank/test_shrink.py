"""Lower ranks in the middle of training: same function, same state of the optimiser."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import decompose, shrink
from keras_roots.lowrank.shrink import find_pairs

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "plain": lambda: keras.optimizers.SGD(0.1),
    "adafactor": lambda: keras.optimizers.Adafactor(0.01),  # of kinds not known
    "ema": lambda: keras.optimizers.AdamW(0.01, use_ema=True),
}


def _model(conv, kernel_of, method="pca", groups=2):
    """A convolution of rank 3 per group decomposed to more, and other layers."""
    inputs = keras.Input((12, 12, 6))
    x = conv(8, 3, name="first", padding="same")(inputs)
    layer = conv(16, 3, groups=groups, name="conv", strides=2, use_bias=False)
    x = layers.BatchNormalization()(layer(x))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    model = keras.Model(inputs, layers.Dense(3, name="head")(x))
    kernel = kernel_of([[3.0, 2.0, 1.0]] * groups, (3, 3, 8 // groups, 16))
    if method == "separable":
        kernel[:, 1:] = 0  # of one column: what remains is of rank 3 this way too
    if method == "kmeans":
        kernel = kernel[..., [0, 1, 2, 0, 1, 2, 0, 1, 8, 9, 10, 8, 9, 10, 8, 9]]
    layer.set_weights([kernel])
    return decompose(model, method=method, ranks={"conv": 6 * groups}, cost=None)


def _batch(count=8):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(count, 12, 12, 6)).astype("float32")
    return images, rng.normal(size=(count, 3)).astype("float32")


def _outputs(model):
    return keras.ops.convert_to_numpy(model(_batch()[0], training=False))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("method", ["pca", "svd", "separable", "kmeans"])
def test_what_adds_nothing_is_left_out(conv, kernel_of, method, groups):
    model = _model(conv, kernel_of, method, groups)
    small = shrink(model, 1e-9)
    suffix = "vertical" if method == "separable" else "basis"
    first = small.get_layer(f"conv_{suffix}")
    assert first.filters == 3 * groups
    assert small.get_layer("conv").kernel.shape[2] == 3
    assert model.get_layer(f"conv_{suffix}").filters == 6 * groups
    np.testing.assert_allclose(_outputs(small), _outputs(model), atol=1e-4)


def test_error_of_the_product(conv, kernel_of):
    """Energies 9, 4, 1: at a bound of 0.1 the last direction goes."""
    model = _model(conv, kernel_of)
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


def test_pairs_within_models(conv, kernel_of):
    inputs = keras.Input((12, 12, 6))
    outer = keras.Sequential([inputs, _model(conv, kernel_of)])
    outer = decompose(outer, ranks={f"{outer.layers[-1].name}/first": 4}, cost=None)
    found = [(first.name, second.name) for first, second in find_pairs(outer)]
    assert found == [("first_basis", "first"), ("conv_basis", "conv")]
    small = shrink(outer, 1e-9)
    np.testing.assert_allclose(_outputs(small), _outputs(outer), atol=1e-4)
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
def test_error_out_of_bounds(conv, kernel_of, error):
    with pytest.raises(
        ValueError, match="`error` must be a number above 0 and below 1"
    ):
        shrink(_model(conv, kernel_of), error)


def test_all_zero(conv, kernel_of):
    model = _model(conv, kernel_of)
    second = model.get_layer("conv")
    second.set_weights([0 * weight for weight in second.get_weights()])
    small = shrink(model, 0.1)
    assert small.get_layer("conv_basis").filters == 2
    np.testing.assert_allclose(_outputs(small), _outputs(model), atol=1e-6)


def test_not_compiled_stays_so(conv, kernel_of):
    assert not shrink(_model(conv, kernel_of), 0.5).compiled


def _state(model, kind=""):
    """What the optimiser keeps: pairs of a name and an array, in order."""
    return [
        (variable.path.split("/")[-1], keras.ops.convert_to_numpy(variable))
        for variable in model.optimizer.variables
        if kind in variable.path
    ]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on(conv, kernel_of, name):
    model = _model(conv, kernel_of)
    model.compile(OPTIMIZERS[name](), "mse", metrics=["mae"])
    model.fit(*_batch(), batch_size=4, epochs=2, verbose=0)
    model.optimizer.learning_rate = 0.005
    small = shrink(model, 0.2)
    assert small.get_layer("conv_basis").filters < 12
    assert int(small.optimizer.iterations) == 4
    assert float(small.optimizer.learning_rate) == pytest.approx(0.005)
    assert type(small.optimizer) is type(model.optimizer)
    for (key, before), (same, after) in zip(_state(model), _state(small), strict=True):
        assert same == key
        if before.shape == after.shape and name != "adafactor":
            np.testing.assert_array_equal(after, before)
        else:
            assert np.isfinite(after).all()
            assert (before < 0).any() or (after >= 0).all()
            assert before.any() == after.any()
    history = small.fit(*_batch(), batch_size=4, epochs=3, verbose=0).history
    assert int(small.optimizer.iterations) == 10
    assert history["loss"][-1] < history["loss"][0]
    assert "mae" in history
    assert int(model.optimizer.iterations) == 4


def test_momentum_follows_the_gradient(conv, kernel_of):
    """One step, then shrink: as if the small model had taken that step's gradient."""
    model = _model(conv, kernel_of)
    first = model.get_layer("conv_basis")
    scale = np.linspace(0.5, 2, 12)  # no longer orthonormal, as after training
    first.set_weights([first.get_weights()[0] * scale])
    fresh = shrink(model, 1e-9)
    weights = model.get_weights()
    for network in (model, fresh):
        network.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
        network.fit(*_batch(), batch_size=8, verbose=0)
    model.set_weights(weights)
    small = shrink(model, 1e-9)
    expected, found = _state(fresh, "momentum"), _state(small, "momentum")
    assert len(expected) == len(model.trainable_variables)
    for (key, values), (same, carried) in zip(expected, found, strict=True):
        assert same == key
        np.testing.assert_allclose(carried, values, atol=2e-5)


def test_squares_are_carried_as_of_independent_gradients(conv, kernel_of):
    """By the squares of what carries the gradients: pca's basis only turns."""
    model = _model(conv, kernel_of, groups=1)
    model.compile(keras.optimizers.Adam(), "mse")
    model.fit(*_batch(), batch_size=8, verbose=0)
    small = shrink(model, 0.2)
    old = model.get_layer("conv_basis").get_weights()[0].reshape(-1, 6)
    new = small.get_layer("conv_basis").get_weights()[0].reshape(-1, 2)
    turn = np.linalg.lstsq(old, new, rcond=None)[0]
    np.testing.assert_allclose(turn.T @ turn, np.eye(2), atol=1e-4)
    ((_, before),) = _state(model, "conv_kernel_velocity")
    ((_, after),) = _state(small, "conv_kernel_velocity")
    expected = (turn**2).T @ before.reshape(6, 16)
    np.testing.assert_allclose(after.reshape(2, 16), expected, rtol=1e-2, atol=1e-9)


def test_custom_losses_stay(conv, kernel_of):
    model = _model(conv, kernel_of)
    model.compile("sgd", lambda truth, outputs: keras.ops.abs(truth - outputs))
    small = shrink(model, 0.2)
    assert np.isfinite(small.train_on_batch(*_batch()))
