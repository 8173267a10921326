"""Which files are on the frontier, and the picture of them."""

import pytest

from keras_roots.training.experiments import points

FLOAT, INT8 = "litert_float32", "litert_int8"


@pytest.mark.parametrize(
    ("found", "best"),
    [
        ({"a": (1, 3), "b": (2, 2), "c": (3, 1)}, "abc"),
        ({"c": (3, 1), "a": (1, 3), "b": (2, 2)}, "abc"),
        ({"a": (1, 3), "b": (2, 3)}, "a"),  # as good, slower
        ({"a": (1, 3), "b": (1, 2)}, "b"),  # as fast, better
        ({"a": (1, 2), "b": (2, 3), "c": (3, 1)}, "ac"),
        ({"a": (1, 2), "b": (1, 2)}, "a"),
    ],
)
def test_frontier(found, best):
    assert points.frontier(found) == list(best)


def line(float_ms, float_error, int8_ms, int8_error):
    return {
        f"{FLOAT}_ms": float_ms,
        f"{FLOAT}_error": float_error,
        f"{INT8}_ms": int8_ms,
        f"{INT8}_error": int8_error,
        f"{INT8}_bytes": 7,
    }


def test_each_network_is_two_points():
    found = points.points({"a": line(4, 0.1, 1, 0.2)})
    assert found == {("a", FLOAT): (4, 0.1), ("a", INT8): (1, 0.2)}


def test_picture(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    figures = []
    save = points.analysis.save
    monkeypatch.setattr(
        points.analysis,
        "save",
        lambda figure, path: (figures.append(figure), save(figure, path)),
    )
    lines = {"dense": line(4, 0.1, 1, 0.11), "small": line(2, 0.12, 0.5, 0.2)}
    panels = dict.fromkeys(("one", "two"), points.points(lines))
    points.draw(panels, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    axes, other = figures[0].axes
    assert (axes.get_title(), other.get_title()) == ("one", "two")
    assert axes.get_xscale() == "log"
    drawn = [each.get_xydata().tolist() for each in axes.lines]
    assert [row[0] for row in drawn[0]] == [1, 1]  # a quarter of 4
    assert [row[1] for row in drawn[1]] == [10, 10]
    assert drawn[2:4] == [[[4, 10], [2, 12]], [[1, 11], [0.5, 20]]]
    assert drawn[4] == [[0.5, 20], [1, 11], [4, 10]]
    assert [text.get_text() for text in axes.texts] == ["small", "dense", "dense"]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["float32", "int8"]
