import numpy as np
import pytest

from keras_roots.analysis.pareto import plot_pareto

# Topology, groups, MACs, parameters, accuracy: Deep Roots, Tables 1 and 2.
PAPER = [
    ("root", 1, 222487946, 966986, 0.9211),
    ("root", 2, 163505546, 736586, 0.9209),
    ("root", 4, 123397514, 455498, 0.9202),
    ("root", 8, 103343498, 314954, 0.9215),
    ("root", 16, 93316490, 244682, 0.9167),
    ("column", 2, 152888714, 570698, 0.9197),
    ("column", 4, 118089098, 372554, 0.9200),
    ("column", 8, 100689290, 273482, 0.9192),
    ("column", 16, 91989386, 223946, 0.9120),
    ("tree", 2, 147580298, 487754, 0.9185),
    ("tree", 4, 115434890, 331082, 0.9147),
    ("tree", 8, 99362186, 252746, 0.9171),
    ("tree", 16, 91325834, 213578, 0.9168),
]


def _paper():
    names = "topology", "root", "macs", "params"
    return [
        {**dict(zip(names, row[:4], strict=True)), "error": 1 - row[4]} for row in PAPER
    ]


def _rows():
    """As a CSV file has them, out of order; only the dense network has bounds."""
    return [
        dict(topology="root", root="8", macs="3e6", ms="2", error="0.09"),
        dict(topology="tree", root="8", macs="1e6", ms="1", error="0.11"),
        dict(topology="root", root="2", macs="4e6", ms="4", error="0.1"),
        dict(topology="tree", root="1", macs="8e6", ms="8", error="0.095")
        | dict(error_low="0.09", error_high="0.105"),
        dict(topology="root", root="16", macs="2e6", ms="3", error="0.12")
        | dict(error_low="", error_high=""),
    ]


def _series(axes):
    """Points by colour and marker."""
    return {(line.get_color(), line.get_marker()): line for line in axes.lines}


def _labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_points_of_a_topology_are_joined_in_order_of_groups(drawn, tmp_path):
    plot_pareto(_rows(), tmp_path / "pareto.png", ["macs", "ms"])
    (figure,) = drawn
    macs, latency = figure.axes
    root, tree, dense = [(4, 10), (3, 9), (2, 12)], [(1, 11)], [(8, 9.5)]
    found = sorted(line.get_xydata().tolist() for line in macs.lines)
    assert [len(points) for points in found] == [1, 3, 1]
    np.testing.assert_allclose(np.concatenate(found), tree + root + dense)
    found = sorted(line.get_xydata().tolist() for line in latency.lines)
    np.testing.assert_allclose(
        np.concatenate(found), [(1, 11), (4, 10), (2, 9), (3, 12), (8, 9.5)]
    )
    assert (macs.get_xlabel(), latency.get_xlabel()) == (
        "multiply-adds (million)",
        "ms",
    )
    assert figure.get_supylabel() == "test error (%)"
    assert macs.get_ylim() == latency.get_ylim()
    assert _labels(figure) == ["dense", "root", "tree"]


def test_the_dense_network_is_a_star_and_the_others_have_their_groups(drawn, tmp_path):
    plot_pareto(_rows(), tmp_path / "pareto.svg", ["macs"])
    (axes,) = drawn[0].axes
    (star,) = [line for line in axes.lines if line.get_marker() == "*"]
    np.testing.assert_allclose(star.get_xydata(), [(8, 9.5)])
    found = {(text.get_text(), *np.round(text.xy, 6)) for text in axes.texts}
    assert found == {("2", 4, 10), ("8", 3, 9), ("16", 2, 12), ("8", 1, 11)}
    colors = {
        text.get_text(): text.get_color() for text in axes.texts if text.xy[0] > 1
    }
    assert len(set(colors.values())) == 1
    (line,) = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert line.get_color() == colors["16"]


def test_error_bars(drawn, tmp_path):
    plot_pareto(_rows(), tmp_path / "pareto.png", ["macs"])
    (axes,) = drawn[0].axes
    (bar,) = axes.collections
    np.testing.assert_allclose(bar.get_segments(), [[(8, 9), (8, 10.5)]])


def test_the_paper_is_drawn_pale_where_it_has_numbers(drawn, tmp_path):
    rows, paper = _paper()[:3], _paper()
    for row in rows:
        row["latency_ms"] = row["macs"] / 1e8
    columns = {"macs": "million", "params": "weights", "latency_ms": "ms"}
    plot_pareto(rows, tmp_path / "pareto.png", columns, reference=paper)
    macs, params, latency = drawn[0].axes
    assert [axes.get_xlabel() for axes in drawn[0].axes] == ["million", "weights", "ms"]
    for axes, scale, column in ((macs, 1e6, "macs"), (params, 1e3, "params")):
        pale = [line for line in axes.lines if line.get_alpha()]
        assert all(line.get_markerfacecolor() == "white" for line in pale)
        found = np.concatenate([line.get_xydata() for line in pale])
        want = [(row[column] / scale, 100 * row["error"]) for row in paper]
        np.testing.assert_allclose(sorted(found.tolist()), sorted(want))
        solid = {(x.get_color(), x.get_marker()) for x in axes.lines if x not in pale}
        assert len(solid) == 2
        assert solid < {(line.get_color(), line.get_marker()) for line in pale}
    assert not [line for line in latency.lines if line.get_alpha()]
    assert [text.get_text() for text in macs.texts] == ["2", "4"]  # ours alone
    assert _labels(drawn[0]) == ["dense", "root", "column", "tree", "paper"]


def test_topologies_look_the_same_in_every_picture(drawn, tmp_path):
    for rows in (_paper(), [row for row in _paper() if row["topology"] == "tree"]):
        plot_pareto(rows, tmp_path / "pareto.png")
    every, one = ({*_series(figure.axes[0])} for figure in drawn)
    assert len(every) == 4 and len(one) == 1 and one < every
    assert drawn[0].axes[1].get_xlabel() == "parameters (thousand)"


def _extents(axes):
    """Boxes of labels, centres of points, and the panel, in pixels."""
    figure = axes.figure
    figure.draw_without_rendering()
    labels = [text.get_window_extent() for text in axes.texts]
    points = [
        axes.transData.transform(point)
        for line in axes.lines
        for point in line.get_xydata()
    ]
    return labels, points, axes.get_window_extent()


@pytest.mark.parametrize("ours", [1.0, 1.2])
def test_labels_lie_on_nothing(drawn, tmp_path, ours):
    rows = [
        {**row, "error": ours * row["error"]}
        | {f"error_{end}": ours * row["error"] + d for end, d in _BOUNDS.items()}
        for row in _paper()
    ]
    plot_pareto(rows, tmp_path / "pareto.png", reference=_paper())
    for axes in drawn[0].axes:
        labels, points, panel = _extents(axes)
        assert len(labels) == 12 and len(points) == 26
        for index, label in enumerate(labels):
            assert panel.x0 <= label.x0 and label.x1 <= panel.x1
            assert panel.y0 <= label.y0 and label.y1 <= panel.y1
            assert not label.count_contains(points)
            assert not label.count_overlaps(labels[:index])


_BOUNDS = {"low": -0.004, "high": 0.004}


def test_labels_make_room_for_the_paper(drawn, tmp_path):
    rows = _paper()[:4]
    plot_pareto(rows, tmp_path / "pareto.png", ["macs"])
    (axes,) = drawn[0].axes
    labels, _, _ = _extents(axes)
    middle = (labels[1].min + labels[1].max) / 2
    macs, error = axes.transData.inverted().transform(middle)
    there = {**rows[2], "macs": 1e6 * macs, "error": error / 100}
    plot_pareto(rows, tmp_path / "pareto.png", ["macs"], [there])
    labels, points, _ = _extents(drawn[1].axes[0])
    assert not any(label.count_contains(points) for label in labels)


def test_labels_stay_near_their_points(drawn, tmp_path):
    plot_pareto(_paper(), tmp_path / "pareto.png")
    for axes in drawn[0].axes:
        distances = [np.hypot(*text.get_position()) for text in axes.texts]
        assert max(distances) < 25 and min(distances) > 5  # typographic points


def test_a_single_network(drawn, tmp_path):
    plot_pareto(_paper()[3:4], tmp_path / "pareto.pdf", ["macs"])
    (axes,) = drawn[0].axes
    assert [text.get_text() for text in axes.texts] == ["8"]
    assert axes.get_xlim()[0] < 103.343498 < axes.get_xlim()[1]


@pytest.mark.parametrize(
    "change,message",
    [
        (dict(topology="bush"), "topologies root, column, tree.*'bush'"),
        (dict(root=0), "root of at least 1"),
        (dict(root="eight"), "reading failed with: ValueError.*eight"),
        (dict(macs=""), "root, error and macs.*reading failed"),
        (dict(macs=0), "macs above 0"),
        (dict(macs=float("nan")), "macs above 0"),
        (dict(error=9.1), "error from 0 to 1"),
        (dict(error=float("nan")), "error from 0 to 1"),
        (dict(error_low=0.2), "bounds on either side"),
        (dict(error_high=0.01), "bounds on either side"),
    ],
)
def test_rows_that_cannot_be_drawn(tmp_path, change, message):
    row = {**_paper()[3], **change}
    with pytest.raises(ValueError, match=f"`rows` must .*{message}"):
        plot_pareto([row], tmp_path / "pareto.png", ["macs"])
    if change != {"macs": ""}:
        with pytest.raises(ValueError, match=f"`reference` must .*{message}"):
            plot_pareto(_paper(), tmp_path / "pareto.png", ["macs"], [row])
    assert not list(tmp_path.iterdir())


def test_a_picture_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`rows` and `columns`.*rows=\\[\\]"):
        plot_pareto([], tmp_path / "pareto.png")
    with pytest.raises(ValueError, match="`rows` and `columns`.*columns=\\(\\)"):
        plot_pareto(_paper(), tmp_path / "pareto.png", ())
    with pytest.raises(ValueError, match="latency_ms"):
        plot_pareto(_paper(), tmp_path / "pareto.png", ["latency_ms"])
