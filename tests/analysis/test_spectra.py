import keras
import numpy as np
import pytest

from keras_roots.analysis.spectra import plot_spectra
from keras_roots.lowrank.ranks import LayerRank, RankAnalysis, rank_analysis


def _layer(name, rank, eigenvalues):
    eigenvalues = np.array(eigenvalues, "float64")
    groups, each = eigenvalues.shape
    return LayerRank(
        name, groups, rank, groups * each, (rank // groups,) * groups, eigenvalues
    )


def _analyses():
    plain = [_layer("conv1", 3, [[4, 3, 2, 1]]), _layer("conv2", 2, [[8, 2], [6, 4]])]
    forced = [_layer("conv1", 1, [[99, 1, 0, 0]]), _layer("conv3", 0, [[0, 0]])]
    return {
        "plain": RankAnalysis(tuple(plain), 0.1),
        "forced": RankAnalysis(tuple(forced), 0.1),
    }


def _lines(axes, color=None):
    return [line for line in axes.lines if color in (None, line.get_color())]


def test_lines_are_cumulative_energies_and_marks_are_ranks(drawn, tmp_path):
    plot_spectra(_analyses(), tmp_path / "spectra.png")
    (figure,) = drawn
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ["conv1", "conv2", "conv3"]
    # Panel: for each network, the curve and the point of its rank, by hand.
    want = {
        "conv1": [
            ([(0, 0), (0.25, 0.4), (0.5, 0.7), (0.75, 0.9), (1, 1)], (0.75, 0.9)),
            ([(0, 0), (0.25, 0.99), (0.5, 1), (0.75, 1), (1, 1)], (0.25, 0.99)),
        ],
        "conv2": [([(0, 0), (0.5, 0.7), (1, 1)], (0.5, 0.7))],
        "conv3": [([(0, 1), (0.5, 1), (1, 1)], (0, 1))],
    }
    for name, networks in want.items():
        data = [line.get_xydata() for line in panels[name].lines[1:]]
        for curve, mark in networks:
            assert any(
                np.shape(d) == np.shape(curve) and np.allclose(d, curve) for d in data
            ), name
            assert any(np.allclose(d, [mark]) for d in data if len(d) == 1), name
        assert len(data) == 2 * len(networks)
    np.testing.assert_allclose(panels["conv1"].lines[0].get_ydata(), [0.9, 0.9])
    assert {text.get_text() for text in panels["conv1"].texts} == {"3/4", "1/4"}
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["plain (mean rank ratio 62%)", "forced (mean rank ratio 12%)"]


def test_a_network_has_one_colour_in_every_panel(drawn, tmp_path):
    plot_spectra(_analyses(), tmp_path / "spectra.pdf")
    panels = {axes.get_title(): axes for axes in drawn[0].axes}
    colors = {
        name: {text.get_text(): text.get_color() for text in axes.texts}
        for name, axes in panels.items()
    }
    assert colors["conv1"]["3/4"] == colors["conv2"]["2/4"]
    assert colors["conv1"]["1/4"] == colors["conv3"]["0/2"]
    assert colors["conv1"]["1/4"] != colors["conv1"]["3/4"]


def test_the_analysis_of_a_model(drawn, tmp_path):
    rng = np.random.default_rng(0)
    conv = keras.layers.Conv2D(6, 3, use_bias=False, name="conv")
    model = keras.Sequential([keras.Input((5, 5, 2)), conv])
    basis = rng.normal(size=(3, 3, 2, 2))
    conv.set_weights([np.tensordot(basis, rng.normal(size=(2, 6)), 1)])
    plot_spectra({"model": rank_analysis(model)}, tmp_path / "spectra.svg")
    (axes,) = drawn[0].axes
    curve = max((line.get_xydata() for line in axes.lines), key=len)
    assert len(curve) == 7
    np.testing.assert_allclose(curve[2:, 1], 1, atol=1e-6)
    assert curve[1, 1] < 0.99


def test_a_picture_of_nothing_is_refused(tmp_path):
    for analyses in ({}, {"empty": RankAnalysis((), 0.05)}):
        with pytest.raises(ValueError, match="`analyses`"):
            plot_spectra(analyses, tmp_path / "spectra.png")
