"""Ranks, against kernels of known spectra and NumPy's own decompositions."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import RootConvNet, RootResNet20, rank_analysis

# Energies 0.6 0.3 0.08 0.02: errors 0.4, 0.1, 0.02 and 0 at ranks 1 to 4.
STEEP = np.sqrt([60, 30, 8, 2])
FLAT = np.ones(4)


@pytest.mark.parametrize(
    ("error", "rank"), [(0.5, 1), (0.41, 1), (0.39, 2), (0.11, 2), (0.05, 3), (0.01, 4)]
)
def test_least_rank_within_the_error(one_layer, conv, kernel_of, error, rank):
    model = one_layer(conv(4, 3, name="conv"), kernel_of([STEEP], (3, 3, 6, 4)))
    (layer,) = rank_analysis(model, error).layers
    assert (layer.name, layer.rank, layer.full, layer.groups) == ("conv", rank, 4, 1)
    assert layer.ratio == rank / 4
    assert layer.leading_energy == pytest.approx(0.6, rel=1e-5)
    np.testing.assert_allclose(layer.eigenvalues[0], STEEP**2, rtol=1e-5)


def test_equal_energies_are_not_lost_in_rounding(one_layer, conv):
    """Of 20 orthogonal filters the last one holds exactly the 5 % that may go."""
    kernel = np.eye(54)[:, :20].reshape(3, 3, 6, 20)
    model = one_layer(conv(20, 3), kernel)
    assert rank_analysis(model, 0.05).layers[0].rank == 19


def test_length_of_the_mean_direction(one_layer, conv):
    """Filters of any length: two at a right angle; parallel ones in the next group."""
    kernel = np.zeros((1, 1, 3, 4))
    kernel[0, 0, 0, 0], kernel[0, 0, 1, 1] = 3, 0.1
    kernel[0, 0, :2, 2], kernel[0, 0, :2, 3] = 1, 5
    (layer,) = rank_analysis(one_layer(conv(4, 1, groups=2), kernel)).layers
    assert layer.mean_direction == pytest.approx((2**-0.5 + 1) / 2)
    kernel[..., 3] = 0
    (layer,) = rank_analysis(one_layer(conv(4, 1, groups=2), kernel)).layers
    assert layer.mean_direction == pytest.approx((2**-0.5 + 0.5) / 2)


def test_every_group_by_itself(one_layer, conv, kernel_of):
    kernel = kernel_of([STEEP, FLAT, 0 * FLAT], (3, 3, 2, 12))
    model = one_layer(conv(12, 3, groups=3), kernel)
    (layer,) = rank_analysis(model, 0.11).layers
    assert layer.group_ranks == (2, 4, 0)
    assert (layer.rank, layer.full, layer.groups) == (6, 12, 3)
    assert layer.eigenvalues.shape == (3, 4)
    np.testing.assert_allclose(layer.eigenvalues[1], 1, rtol=1e-5)


def test_uncentred_eigenvalues(one_layer, conv):
    """Those of K^T K, and more filters than weights in each leave zeros."""
    layer = conv(10, 1, name="wide")
    model = one_layer(layer)
    matrix = layer.get_weights()[0].reshape(6, 10).astype("float64")
    (found,) = rank_analysis(model).layers
    expected = np.linalg.eigvalsh(matrix.T @ matrix)[::-1]
    np.testing.assert_allclose(found.eigenvalues[0], expected, atol=1e-9)
    assert found.eigenvalues.shape == (1, 10)
    assert found.full == 10
    assert found.rank <= 6


def test_small_eigenvalues_keep_their_digits(one_layer, conv, kernel_of):
    values = np.array([1.0, 1e-6])
    layer = conv(2, 3, dtype="float64")
    model = one_layer(layer, kernel_of([values], (3, 3, 6, 2)))
    (found,) = rank_analysis(model).layers
    assert found.eigenvalues[0, 1] == pytest.approx(1e-12, rel=1e-6)


def _nested(conv):
    inner = keras.Sequential(
        [keras.Input((10, 10, 4)), conv(8, 3, name="deep"), layers.ReLU()],
        name="inner",
    )
    inputs = keras.Input((12, 12, 6))
    shared = conv(6, 3, padding="same", name="shared")
    x = shared(shared(inputs))
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = conv(6, 3, groups=6, padding="same", name="also_depthwise")(x)
    x = inner(conv(4, 3, groups=2, padding="same", name="grouped")(x))
    return keras.Model(inputs, layers.Conv2DTranspose(3, 3)(x))


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (None, ["shared", "grouped", "inner/deep"]),
        (["inner/deep", "shared"], ["shared", "inner/deep"]),
        (lambda layer: layer.groups > 1, ["grouped"]),
    ],
)
def test_layers(conv, chosen, names):
    found = rank_analysis(_nested(conv), layers=chosen)
    assert [layer.name for layer in found.layers] == names
    assert found.mean_ratio == pytest.approx(
        np.mean([layer.rank / layer.full for layer in found.layers])
    )


def test_networks_of_the_paper_have_its_full_ranks():
    """Section 2.3 of the paper's tables: 32, 32, 64; 16, 32, 64 filters."""
    convnet = rank_analysis(RootConvNet()).layers
    assert [layer.full for layer in convnet] == [32, 32, 64]
    resnet = rank_analysis(
        RootResNet20(), layers=lambda layer: layer.kernel_size == (3, 3)
    ).layers
    assert [layer.full for layer in resnet] == [16] * 7 + [32] * 6 + [64] * 6


def test_table(conv):
    lines = str(rank_analysis(_nested(conv))).splitlines()
    assert lines[0].split()[:5] == ["layer", "groups", "rank", "filters", "ratio"]
    assert [line.split()[0] for line in lines[2:5]] == [
        "shared",
        "grouped",
        "inner/deep",
    ]
    assert lines[-1].startswith("mean")


@pytest.mark.parametrize("error", [0, 1, -0.1, 5, "much", None, float("nan")])
def test_error_out_of_bounds(one_layer, conv, error):
    with pytest.raises(
        ValueError, match="`error` must be a number above 0 and below 1.*Received"
    ):
        rank_analysis(one_layer(conv(4, 3)), error)


def test_no_convolutions():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.DepthwiseConv2D(3)])
    with pytest.raises(ValueError, match="`model` has no 2D convolutions"):
        rank_analysis(model)


def test_unknown_names(one_layer, conv):
    with pytest.raises(ValueError, match="conv2d.*Received: other"):
        rank_analysis(one_layer(conv(4, 3, name="conv2d")), layers=["other"])


def test_weights_that_are_not_finite(one_layer, conv):
    kernel = np.zeros((3, 3, 6, 4))
    kernel[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="'diverged' must be finite"):
        rank_analysis(one_layer(conv(4, 3, name="diverged"), kernel))


class _Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def test_subclassed():
    with pytest.raises(ValueError, match="functional or Sequential"):
        rank_analysis(_Subclassed())
