"""Panels of bars, of lines and of points."""

import numpy as np
import pytest

from keras_roots.training.reports.performance.charts import (
    Mark,
    Panel,
    plot_bars,
    plot_lines,
    plot_points,
)


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_bars_in_groups(drawn, tmp_path):
    marks = [
        Mark("dense", 4.0, "float32", "4 ms"),
        Mark("root", 1.0, "int8", "1 ms"),
        Mark("root", 2.0, "float32", "2 ms, 0.5"),
    ]
    other = Panel("other", "ms", "", [Mark("dense", 3.0, "float32")])
    plot_bars([Panel("NiN", "ms", "", marks), other], tmp_path / "bars.png")
    assert (tmp_path / "bars.png").read_bytes()[1:4] == b"PNG"
    nin, second = drawn[0].axes
    assert nin.get_title() == "NiN" and nin.get_xlabel() == "ms"
    bars = [patch.get_width() for patch in nin.patches]
    places = [patch.get_y() + patch.get_height() / 2 for patch in nin.patches]
    assert bars == [4, 2, 1]
    np.testing.assert_allclose(places, [0, 1, 3])  # groups are set apart
    texts = {text.get_text(): text.get_position() for text in nin.texts}
    assert texts["2 ms, 0.5"][1] == 1 and texts["2 ms, 0.5"][0] > 2
    assert [label.get_text() for label in nin.get_yticklabels()] == ["float32", "int8"]
    np.testing.assert_allclose(nin.get_yticks(), [0.5, 3])
    assert nin.get_ylim()[0] > nin.get_ylim()[1]  # the first on top
    assert second.patches[0].get_facecolor() == nin.patches[0].get_facecolor()
    assert _legend(drawn[0]) == ["dense", "root"]


def test_lines(drawn, tmp_path):
    marks = [Mark("a", 4, 1.0), Mark("b", 2, 2.0), Mark("a", 1, 3.0)]
    others = [Mark("b", 96, 5.0), Mark("b", 448, 7.0)]
    panels = [Panel("NiN", "x", "ms", marks), Panel("GoogLeNet", "x", "ms", others)]
    plot_lines(panels, tmp_path / "lines.svg")
    plot_lines(panels[:1], tmp_path / "doubling.svg", doubling=True)
    plain, linear = drawn[0].axes
    (doubling,) = drawn[1].axes
    assert plain.get_xscale() == "linear"
    np.testing.assert_allclose(doubling.lines[0].get_xydata(), [(1, 3), (4, 1)])
    assert (doubling.get_xscale(), linear.get_xscale()) == ("log", "linear")
    np.testing.assert_allclose(doubling.get_xticks(), [1, 2, 4])
    labels = [label.get_text() for label in linear.get_xticklabels()]
    assert labels == ["96", "448"]
    assert doubling.get_ylim()[0] == linear.get_ylim()[0] == 0
    assert plain.lines[1].get_color() == linear.lines[0].get_color()
    assert _legend(drawn[0]) == ["a", "b"]


def test_points_are_named_once_and_joined(drawn, tmp_path):
    marks = [
        Mark("plain", 100.0, 40.0, "large"),
        Mark("plain", 10.0, 4.0, "small"),
        Mark("optimised", 100.0, 30.0, "large"),
    ]
    panel = Panel("one thread", "MACs", "ms", marks, proportional=(100.0, 40.0))
    plot_points([panel], tmp_path / "points.png")
    (axes,) = drawn[0].axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert sorted(text.get_text() for text in axes.texts) == ["large", "small"]
    (at,) = [text.xy for text in axes.texts if text.get_text() == "large"]
    assert tuple(at) == (100, 30)
    lines = [line.get_xydata().tolist() for line in axes.lines]
    assert lines[0] == [[100, 40], [10, 4]] and lines[1] == [[100, 30]]
    assert [[100, 40], [100, 30]] in lines
    ratios = axes.lines[-1].get_ydata() / axes.lines[-1].get_xdata()
    np.testing.assert_allclose(ratios, 0.4)


def test_names_do_not_overlap(drawn, tmp_path):
    marks = [Mark("", 10.0, 5 + 0.01 * i, f"network {i}") for i in range(4)]
    marks.append(Mark("", 1000.0, 5.0, "far"))
    plot_points([Panel("", "MACs", "ms", marks)], tmp_path / "points.png")
    (axes,) = drawn[0].axes
    places = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert places["far"] == places["network 0"] == 0
    heights = [places[f"network {index}"] for index in range(4)]
    assert (np.diff(heights) > 8).all()  # the size of the letters


@pytest.mark.parametrize("plot", [plot_bars, plot_lines, plot_points])
def test_nothing_to_draw(plot, tmp_path):
    with pytest.raises(ValueError, match="`panels` must hold something to draw"):
        plot([], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
