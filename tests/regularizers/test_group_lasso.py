import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.regularizers.group_lasso import AXES, GroupLasso


def _kernel(shape=(3, 2, 4, 6), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _by_loops(kernel, axis, groups=1):
    """Norms one by one, as Wen et al. (2016) define the groups."""
    height, width, channels, filters = kernel.shape
    parts = np.split(kernel.astype("float64"), groups, axis=-1)
    norm = np.linalg.norm
    if axis == "filters":
        return sum(norm(kernel[..., n].ravel()) for n in range(filters))
    if axis == "channels":
        return sum(
            norm(part[:, :, c].ravel()) for part in parts for c in range(channels)
        )
    return sum(
        norm(part[index])
        for part in parts
        for index in np.ndindex(height, width, channels)
    )


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("axis", AXES)
def test_the_sum_of_the_norms(axis, groups):
    kernel = _kernel()
    value = GroupLasso(0.25, axis, groups)(keras.ops.convert_to_tensor(kernel))
    assert float(value) == pytest.approx(0.25 * _by_loops(kernel, axis, groups))


def test_the_axes_differ():
    values = {axis: float(GroupLasso(1, axis)(_kernel())) for axis in AXES}
    assert len({round(value, 3) for value in values.values()}) == 3


@pytest.mark.parametrize("axis", AXES)
def test_the_gradient_is_the_direction_of_each_group_and_zero_at_zero(axis):
    kernel = _kernel()
    zero = {
        "filters": np.s_[..., 1],
        "channels": np.s_[:, :, 1],
        "shapes": np.s_[0, 1, 1],
    }[axis]
    kernel[zero] = 0
    variable = tf.Variable(kernel)
    with tf.GradientTape() as tape:
        value = GroupLasso(2.0, axis)(variable)
    gradient = tape.gradient(value, variable).numpy()
    assert not gradient[zero].any()
    summed = {"filters": (0, 1, 2), "channels": (0, 1, 3), "shapes": (3,)}[axis]
    norms = np.sqrt((kernel**2).sum(axis=summed, keepdims=True))
    want = np.divide(2 * kernel, norms, out=np.zeros_like(kernel), where=norms > 0)
    np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-6)


def test_filters_vanish_as_a_whole():
    inputs = keras.Input((4,))
    layer = keras.layers.Dense(6, kernel_regularizer=GroupLasso(0.05), use_bias=False)
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    x = np.random.default_rng(0).normal(size=(256, 4)).astype("float32")
    targets = np.zeros((256, 6), "float32")
    targets[:, :2] = 3 * x[:, :2]
    model.fit(x, targets, batch_size=64, epochs=60, verbose=0)
    norms = np.linalg.norm(np.asarray(layer.kernel), axis=0)
    assert (norms[:2] > 1).all()
    assert (norms[2:] < 0.01).all()


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "bfloat16"])
def test_dtypes(dtype):
    layer = GroupedConv2D(
        6, 3, groups=2, dtype=dtype, kernel_regularizer=GroupLasso(1.0, "channels", 2)
    )
    model = keras.Sequential([keras.Input((5, 5, 4)), layer])
    kernel = np.asarray(keras.ops.cast(layer.kernel, "float32"))
    want = _by_loops(kernel, "channels", 2)
    assert float(keras.ops.sum(model.losses)) == pytest.approx(want, rel=1e-2)


def test_a_saved_model_keeps_it(tmp_path):
    layer = keras.layers.Conv2D(6, 3, kernel_regularizer=GroupLasso(0.3, "shapes", 2))
    keras.Sequential([keras.Input((5, 5, 4)), layer]).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[0]
    assert loaded.kernel_regularizer.get_config() == {
        "strength": 0.3,
        "axis": "shapes",
        "groups": 2,
    }


def test_jax(run_python):
    printed = run_python(
        "import jax, numpy as np\n"
        "from keras_roots.regularizers.group_lasso import GroupLasso\n"
        "kernel = np.ones((1, 1, 4, 3), 'float32'); kernel[..., 1] = 0\n"
        "print(*jax.value_and_grad(GroupLasso(1.0))(kernel)[1][0, 0, 0])",
        KERAS_BACKEND="jax",
    )
    assert [float(part) for part in printed.split()] == [0.5, 0.0, 0.5]


@pytest.mark.parametrize(
    "arguments,message",
    [
        (dict(strength=-1), "strength=-1"),
        (dict(strength=float("nan")), "strength=nan"),
        (dict(strength="1"), "strength='1'"),
        (dict(axis="rows"), "'filters', 'channels', 'shapes'.*axis='rows'"),
        (dict(groups=0), "groups=0"),
        (dict(groups=True), "groups=True"),
        (dict(groups=4), "6 filters.*groups=4"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GroupLasso(**{"strength": 1.0, **arguments})(_kernel())
