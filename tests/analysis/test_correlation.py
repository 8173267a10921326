import tracemalloc

import keras
import numpy as np
import pytest
import scipy.linalg

from keras_roots.analysis.correlation import (
    block_structure,
    filter_correlation,
    plot_correlation,
)


def _model(side=8, strides=2):
    """Two convolutions of 6 and 4 filters, the second on a smaller map."""
    inputs = x = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="conv1")(x)
    x = keras.layers.ReLU(name="relu1")(x)
    x = keras.layers.Conv2D(4, 3, strides, padding="same", groups=2, name="conv2")(x)
    x = keras.layers.Flatten(name="flat")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="dense")(x))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def _images(count=7, side=8, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 255, (count, side, side, 3)).astype("float32")


def _batches(images, size=3):
    return (images[start : start + size] for start in range(0, len(images), size))


def _responses(model, name, images, side=8):
    """All responses of a layer, `[positions, filters]`, repeated up to a side."""
    outputs = keras.Model(model.input, model.get_layer(name).output)(images)
    outputs = keras.ops.image.resize(outputs, (side, side), interpolation="nearest")
    outputs = keras.ops.convert_to_numpy(outputs)
    return outputs.reshape(-1, outputs.shape[-1]).astype("float64")


def _whitened(responses):
    return responses @ scipy.linalg.inv(scipy.linalg.sqrtm(np.cov(responses.T)))


@pytest.mark.parametrize("first,second", [("conv1", "relu1"), ("relu1", "conv2")])
def test_without_whitening_it_is_that_of_numpy(first, second):
    model, images = _model(), _images()
    found = filter_correlation(model, first, second, _batches(images), whiten=False)
    x, y = (_responses(model, name, images) for name in (first, second))
    want = np.corrcoef(x.T, y.T)[:6, 6:]
    assert found.dtype == "float64"
    np.testing.assert_allclose(found, want, atol=1e-6)


@pytest.mark.parametrize("first,second", [("relu1", "conv2"), ("conv2", "conv1")])
def test_whitened_responses(first, second):
    model, images = _model(), _images()
    found = filter_correlation(model, first, second, _batches(images))
    x, y = (_whitened(_responses(model, name, images)) for name in (first, second))
    want = np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]
    np.testing.assert_allclose(found, want, atol=1e-5)
    assert 0.05 < np.abs(found).max() < 1


@pytest.mark.parametrize("side,strides", [(9, 2), (9, 3), (7, 4)])
def test_maps_of_any_size_are_enlarged(side, strides):
    model, images = _model(side, strides), _images(side=side)
    found = filter_correlation(model, "conv1", "conv2", [images], whiten=False)
    x, y = (_responses(model, name, images, side) for name in ("conv1", "conv2"))
    np.testing.assert_allclose(found, np.corrcoef(x.T, y.T)[:6, 6:], atol=1e-6)


def test_what_batches_may_hold():
    model, images = _model(), _images()
    want = filter_correlation(model, "conv1", "conv2", [images])
    labels = np.arange(7)
    pairs = [
        (images[:2], labels[:2]),
        [images[2:], labels[2:]],
        (images[:0], labels[:0]),
    ]
    tensors = [keras.ops.convert_to_tensor(images[:4]), images[4:].astype("uint8")]
    rounded = np.concatenate([images[:4], np.trunc(images[4:])])
    found = filter_correlation(model, "conv1", "conv2", pairs)
    np.testing.assert_allclose(found, want, atol=1e-5)
    found = filter_correlation(model, "conv1", "conv2", tensors)
    want = filter_correlation(model, "conv1", "conv2", [rounded])
    np.testing.assert_allclose(found, want, atol=1e-5)


@pytest.mark.parametrize("whiten", [True, False])
def test_constant_and_dependent_filters(whiten):
    model, images = _model(), _images()
    conv = model.get_layer("conv1")
    kernel, bias = conv.get_weights()
    kernel[..., 1] = 0  # its response is its bias, 0.3, everywhere
    bias[1] = 0.3
    kernel[..., 5], bias[5] = kernel[..., 4], bias[4]
    kernel[..., 0] = kernel[..., 2] - kernel[..., 3]  # but for rounding
    conv.set_weights([kernel, bias])
    found = filter_correlation(model, "conv1", "conv2", _batches(images), whiten)
    np.testing.assert_allclose(found[1], 0, atol=1e-12)
    np.testing.assert_allclose(found[5], found[4], atol=1e-6)
    assert np.isfinite(found).all() and np.abs(found[4]).max() > 0.01
    x, y = (_responses(model, name, images) for name in ("conv1", "conv2"))
    if whiten:  # by the pseudo-inverse, of the directions that there are
        values, vectors = np.linalg.eigh(np.cov(x.T))
        inverse = [0, 0, 0, *values[3:] ** -0.5]
        x = (x - x.mean(axis=0)) @ (vectors * inverse @ vectors.T)
        want = x.T @ _whitened(y - y.mean(axis=0)) / (len(x) - 1)
        np.testing.assert_allclose(found, want, atol=1e-5)
    else:
        others = [0, 2, 3, 4]
        want = np.corrcoef(x[:, others].T, y.T)[:4, 4:]
        np.testing.assert_allclose(found[others], want, atol=1e-6)


def test_responses_far_from_zero():
    """Whole numbers from 2 ** 23 on, which float32 holds, but no sum of squares."""
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Activation("linear", name="before")(inputs)
    model = keras.Model(inputs, keras.layers.MaxPooling2D(2, name="pool")(x))
    rng = np.random.default_rng(0)
    images = (2**23 + rng.integers(0, 8, (60, 8, 8, 2))).astype("float32")
    found = filter_correlation(model, "before", "pool", _batches(images), False)
    x, y = (_responses(model, name, images) for name in ("before", "pool"))
    want = np.corrcoef(x.T - 2**23, y.T - 2**23)[:2, 2:]
    np.testing.assert_allclose(found, want, atol=1e-9)


def test_nothing_but_constants():
    model = _model()
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 0.0))
    for whiten in (True, False):
        found = filter_correlation(model, "conv1", "conv2", [_images()], whiten)
        np.testing.assert_array_equal(found, np.zeros((6, 4)))


def test_activations_are_not_kept():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(48, 1, name="conv1")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(48, 1, name="conv2")(x))
    images = _images(20, 16)
    tracemalloc.start()
    try:
        filter_correlation(model, "conv1", "conv2", (images for _ in range(20)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    activations = 20 * 20 * 16 * 16 * (48 + 48) * 4
    assert peak < activations / 3


def test_groups_are_blocks():
    """White noise through a grouped convolution: all of it lies within the groups."""
    inputs = keras.Input((8, 8, 12))
    x = keras.layers.Activation("linear", name="before")(inputs)
    outputs = keras.layers.Conv2D(8, 1, groups=4, name="after")(x)
    model = keras.Model(inputs, outputs)
    images = np.random.default_rng(0).normal(size=(50, 8, 8, 12)).astype("float32")
    for whiten in (True, False):
        found = filter_correlation(model, "before", "after", [images], whiten)
        assert block_structure(found, 4) > 3.9
        assert block_structure(found[:, ::-1], 4) < 0.1


@pytest.mark.parametrize(
    "correlation,groups,want",
    [
        (np.ones((6, 4)), 2, 1),
        (np.kron(np.eye(3), -np.ones((2, 5))), 3, 3),
        (np.kron(np.eye(4), np.ones((3, 3))), 2, 2),
        (np.kron(1 - np.eye(2), np.ones((3, 3))), 2, 0),
        ([[2, 1], [1, 2]], 2, 2 * 8 / 10),
        ([[2, 1], [1, 2]], 1, 1),
        (np.zeros((4, 4)), 4, 1),
    ],
)
def test_block_structure(correlation, groups, want):
    assert block_structure(correlation, groups) == pytest.approx(want)


@pytest.mark.parametrize(
    "correlation,groups,message",
    [
        (np.ones((6, 4)), 3, "`groups` must divide the 6 and 4.*groups=3"),
        (np.ones((4, 6)), 4, "`groups` must divide the 4 and 6.*groups=4"),
        (np.ones((4, 4)), 0, "groups=0"),
        (np.ones((4, 4)), -2, "groups=-2"),
        (np.ones((4, 4)), True, "groups=True"),
        (np.ones(4), 2, r"`correlation` must be numbers of shape.*\(4,\)"),
        (np.ones((0, 4)), 1, r"`correlation` must be numbers of shape.*\(0, 4\)"),
    ],
)
def test_no_blocks(correlation, groups, message):
    with pytest.raises(ValueError, match=message):
        block_structure(correlation, groups)


@pytest.mark.parametrize(
    "first,second,message",
    [
        ("conv9", "conv2", "`first` must be.*first='conv9'.*conv1, relu1, conv2$"),
        ("conv1", "dense", "`second` must be.*second='dense'.*conv1, relu1, conv2$"),
        ("conv1", "flat", "second='flat'"),
    ],
)
def test_layers_that_are_no_maps(first, second, message):
    with pytest.raises(ValueError, match=message):
        filter_correlation(_model(), first, second, [_images()])


def test_models_that_are_refused():
    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="`model` must be a functional"):
        filter_correlation(Subclassed(), "conv1", "conv2", [_images()])
    keras.config.set_image_data_format("channels_first")
    inputs = keras.Input((3, 8, 8))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1, name="conv")(inputs))
    with pytest.raises(ValueError, match="`model` must be channels last.*'conv'"):
        filter_correlation(model, "conv", "conv", [_images()])


def test_no_images():
    used_up = _batches(_images())
    list(used_up)
    for batches in ([], used_up, [_images()[:0]]):
        with pytest.raises(ValueError, match="`batches` must hold at least one image"):
            filter_correlation(_model(), "conv1", "conv2", batches)


def test_on_jax_without_tensorflow_or_matplotlib(run_python, tmp_path):
    model, images = _model(), _images()
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    run_python(
        """
import sys
import keras, numpy as np
sys.modules["matplotlib"] = None  # Keras has imported it
import keras_roots.analysis as analysis
assert "tensorflow" not in sys.modules
assert keras.backend.backend() == "jax"
model = keras.models.load_model("model.keras")
images = np.load("images.npy")
np.save("found", analysis.filter_correlation(model, "conv1", "conv2", [images]))
""",
        KERAS_BACKEND="jax",
    )
    want = filter_correlation(model, "conv1", "conv2", [images])
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), want, atol=1e-4)


def test_the_picture_has_a_panel_per_network(drawn, tmp_path):
    rng = np.random.default_rng(0)
    matrices = {
        "dense": rng.uniform(-0.3, 0.3, (12, 8)),
        "root-8": rng.uniform(-0.6, 0.6, (12, 8)),
    }
    plot_correlation(matrices, tmp_path / "correlation.png", "conv1c", "conv2a")
    (figure,) = drawn
    panels = {axes.get_title(): axes for axes in figure.axes if axes.images}
    assert list(panels) == ["dense", "root-8"]
    for name, axes in panels.items():
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), np.abs(matrices[name]))
        assert image.get_clim() == (0, np.quantile(np.abs(matrices["root-8"]), 0.999))
    assert figure.get_supxlabel() == "filters of conv2a"
    assert figure.get_supylabel() == "filters of conv1c"
    (bar,) = [axes for axes in figure.axes if axes not in panels.values()]
    assert bar.get_ylabel() == "absolute correlation"


def test_a_picture_of_no_correlation(drawn, tmp_path):
    plot_correlation({"untrained": np.zeros((4, 4))}, tmp_path / "correlation.svg")
    assert drawn[0].axes[0].images[0].get_clim() == (0, 1)


def test_a_picture_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`matrices` must hold at least one"):
        plot_correlation({}, tmp_path / "correlation.png")
