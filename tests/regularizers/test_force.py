"""Forces between filters, against a plain loop over pairs and against Theorem 1."""

import keras
import numpy as np
import pytest

from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.regularizers.force import NORMS, ForceRegularizer


def pair_by_pair(kernel, norm, groups=1, scale="norm", normalize=False):
    """Equations 2, 4 and 5, one pair of filters at a time, in float64."""
    count = kernel.shape[-1]
    filters = kernel.reshape(-1, count).T.astype("float64")
    moves = np.zeros_like(filters)
    each = count // groups
    lengths = np.linalg.norm(filters, axis=1)
    for i in range(count):
        if lengths[i] <= 1e-4:
            continue
        own = filters[i] / lengths[i]
        first = i // each * each
        for j in range(first, first + each):
            if j == i or lengths[j] <= 1e-4:
                continue
            force = filters[j] / lengths[j] - own
            if norm == "l1":
                distance = np.linalg.norm(force)
                if distance <= 1e-4:
                    continue
                force = force / distance
            moves[i] += force - (force @ own) * own
        moves[i] *= lengths[i] if scale == "norm" else 1 / lengths[i]
    return (moves / each if normalize else moves).T.reshape(kernel.shape)


def random_kernel(*shape, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.1, 3, shape[-1])
    return (rng.normal(size=shape) * lengths).astype("float32")


def found(kernel, norm, **arguments):
    force = ForceRegularizer(1.0, norm, **arguments).force(kernel)
    return keras.ops.convert_to_numpy(force)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("scale", ["norm", "inverse_norm"])
@pytest.mark.parametrize("normalize", [False, True])
def test_the_force_is_the_sum_over_pairs(norm, groups, scale, normalize):
    kernel = random_kernel(3, 3, 4, 8)
    arguments = {"groups": groups, "scale": scale, "normalize": normalize}
    want = pair_by_pair(kernel, norm, **arguments)
    assert np.abs(want).max() > 0.01
    np.testing.assert_allclose(
        found(kernel, norm, **arguments), want, atol=1e-5 * np.abs(want).max()
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("spread", [1e-1, 1e-2, 2e-3, 1e-3])
def test_nearly_coinciding_filters(norm, spread):
    """Where distances by float32 products would be cancellation noise."""
    kernel = random_kernel(3, 3, 8, 1) + spread * random_kernel(3, 3, 8, 12, seed=1)
    want = pair_by_pair(kernel, norm)
    assert np.abs(want).max() > 0
    np.testing.assert_allclose(
        found(kernel, norm), want, atol=1e-4 * np.abs(want).max()
    )


@pytest.mark.parametrize("norm", NORMS)
def test_coinciding_zero_and_near_zero_filters(norm):
    kernel = random_kernel(3, 3, 4, 8)
    kernel[..., 1] = 2 * kernel[..., 0]
    kernel[..., 2] = -kernel[..., 0]
    kernel[..., 3] = 0
    kernel[..., 4] *= 1e-6
    want = pair_by_pair(kernel, norm)
    got = found(kernel, norm)
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())
    assert not got[..., 3:5].any()
    same = np.repeat(kernel[..., :1], 8, axis=-1)
    assert np.abs(found(same, norm)).max() < 1e-4
    assert not found(np.zeros((1, 1, 2, 4), "float32"), norm).any()


@pytest.mark.parametrize("norm, power", [("l2", 2), ("l1", 1)])
def test_theorem_1(norm, power):
    """The force has the direction in which R(W), the sum of distances, falls."""
    kernel = random_kernel(2, 2, 2, 5).astype("float64")
    filters = kernel.reshape(-1, 5).T

    def distances(filters):
        directions = filters / np.linalg.norm(filters, axis=1, keepdims=True)
        differences = directions[:, None] - directions[None]
        return 0.5 * (np.linalg.norm(differences, axis=-1) ** power).sum()

    gradient = np.zeros_like(filters)
    for index in np.ndindex(filters.shape):
        step = np.zeros_like(filters)
        step[index] = 1e-6
        rise = distances(filters + step) - distances(filters - step)
        gradient[index] = rise / 2e-6
    force = found(kernel, norm).reshape(-1, 5).T
    for own, slope in zip(force, gradient, strict=True):
        cosine = -own @ slope / np.linalg.norm(own) / np.linalg.norm(slope)
        assert cosine == pytest.approx(1, abs=1e-5)


def test_forces_are_orthogonal_and_turn_every_filter_alike():
    kernel = random_kernel(3, 3, 4, 6)
    moves, longer = found(kernel, "l2"), found(3 * kernel, "l2")
    products = (moves * kernel).reshape(-1, 6).sum(axis=0)
    np.testing.assert_allclose(products, 0, atol=1e-4)
    np.testing.assert_allclose(longer, 3 * moves, rtol=1e-4, atol=1e-5)


def step(layer, inputs, targets, optimizer):
    model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
    model.compile(optimizer, loss="mse")
    before = keras.ops.convert_to_numpy(layer.kernel)
    loss = model.train_on_batch(inputs, targets)
    return float(loss), keras.ops.convert_to_numpy(layer.kernel) - before


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("strength", [0.02, -0.02])
@pytest.mark.parametrize("norm", NORMS)
def test_a_training_step_moves_the_kernel_by_the_force(dtype, strength, norm):
    """Equation 3: value 0, gradient -strength * dW beside that of the data."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(4, 6, 6, 4)).astype("float32")
    targets = rng.normal(size=(4, 4, 4, 8)).astype("float32")
    kernel = random_kernel(3, 3, 2, 8)
    results = []
    for regularizer in (None, ForceRegularizer(strength, norm, groups=2)):
        layer = GroupedConv2D(
            8, 3, groups=2, dtype=dtype, kernel_regularizer=regularizer
        )
        layer.build((None, 6, 6, 4))
        layer.kernel.assign(kernel)
        results.append(step(layer, inputs, targets, keras.optimizers.SGD(0.5)))
    (plain_loss, plain), (loss, forced) = results
    assert loss == plain_loss
    want = 0.5 * strength * pair_by_pair(kernel, norm, groups=2)
    np.testing.assert_allclose(forced - plain, want, atol=2e-6)


FIT = """
import sys, keras, numpy as np
from keras_roots.regularizers import ForceRegularizer
rng = np.random.default_rng(0)
x, y = rng.normal(size=(16, 6, 6, 3)), rng.normal(size=(16, 4, 4, 8))
kernel = rng.normal(size=(3, 3, 3, 8)).astype("float32")
kernel[..., 1:4] = kernel[..., :1] + 1e-3 * kernel[..., 1:4]

def train(scope):
    with scope:
        layer = keras.layers.Conv2D(
            8, 3, kernel_regularizer=ForceRegularizer(0.01, "l1", normalize=True))
        model = keras.Sequential([keras.Input((6, 6, 3)), layer])
        layer.kernel.assign(kernel)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    return layer.kernel, history.history["loss"]
"""
TWO_DEVICES = """
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
"""
RUN = """
import contextlib
trained, loss = train(contextlib.nullcontext())
np.savez("one.npz", kernel=keras.ops.convert_to_numpy(trained), loss=loss)
"""
RUN_MIRRORED = """
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
trained, loss = train(strategy.scope())
np.savez("two.npz", kernel=trained.value.values[0].numpy(), loss=loss)
"""


@pytest.mark.slow
def test_fit_on_every_backend_and_two_devices(run_python, tmp_path):
    pytest.importorskip("jax")
    run_python(TWO_DEVICES + FIT + RUN + RUN_MIRRORED, KERAS_BACKEND="tensorflow")
    one, two = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("one", "two"))
    run_python(FIT + RUN, KERAS_BACKEND="jax")
    jax = dict(np.load(tmp_path / "one.npz"))
    for other in (two, jax):
        np.testing.assert_allclose(other["loss"], one["loss"], rtol=1e-4)
        np.testing.assert_allclose(other["kernel"], one["kernel"], atol=2e-4)


@pytest.mark.slow
def test_jax_forces_are_the_sums_over_pairs(run_python, tmp_path):
    """JAX has no float64 by default; its distances come from differences."""
    pytest.importorskip("jax")
    kernel = random_kernel(3, 3, 8, 1) + 2e-3 * random_kernel(3, 3, 8, 12, seed=1)
    kernel[..., 5] = kernel[..., 6]
    np.save(tmp_path / "kernel.npy", kernel)
    run_python(
        """
import jax, numpy as np
from keras_roots.regularizers import ForceRegularizer
kernel = np.load("kernel.npy")
for norm in ("l2", "l1"):
    force = jax.jit(ForceRegularizer(1.0, norm).force)(kernel)
    np.save(norm, np.asarray(force))
""",
        KERAS_BACKEND="jax",
    )
    for norm in NORMS:
        want = pair_by_pair(kernel, norm)
        got = np.load(tmp_path / f"{norm}.npy")
        np.testing.assert_allclose(got, want, atol=1e-3 * np.abs(want).max())


def test_serialises():
    regularizer = ForceRegularizer(-0.5, "l1", 4, True, "inverse_norm")
    copy = keras.regularizers.deserialize(keras.regularizers.serialize(regularizer))
    assert type(copy) is ForceRegularizer
    assert copy.get_config() == regularizer.get_config()
    assert copy.get_config()["groups"] == 4


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"strength": float("nan")}, "`strength` must be a finite number.*nan"),
        ({"strength": "1"}, "`strength` must be a finite number"),
        ({"norm": "l3"}, "`norm` must be one of.*Received: norm='l3'"),
        ({"scale": 1}, "`scale` must be one of.*inverse_norm.*Received: scale=1"),
        ({"groups": 0}, "`groups` must be an integer, 1 or more. Received: groups=0"),
        ({"groups": True}, "`groups` must be an integer.*True"),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ForceRegularizer(**{"strength": 1.0, **arguments})


def test_groups_must_divide_the_filters():
    with pytest.raises(ValueError, match="divide the 6 filters.*groups=4"):
        ForceRegularizer(1.0, groups=4)(np.ones((1, 1, 2, 6), "float32"))
