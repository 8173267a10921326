"""Results of suites: files, tables and pictures."""

import dataclasses

import helpers
import pytest

from keras_roots.training.reports.performance import results as module
from keras_roots.training.reports.performance.suites import SUITES, Grid

TINY = {
    "groups": dataclasses.replace(
        SUITES["groups"],
        grids=(Grid(("root_convnet:1", "root_convnet:4")),),
        calls=4,
        rounds=2,
    ),
    "rewrites": dataclasses.replace(
        SUITES["rewrites"],
        grids=(
            Grid(
                ("root_convnet:4",),
                quantize=(None,),
                optimize=(None, "merge_projections", "merge_normalization"),
            ),
        ),
        calls=2,
        rounds=1,
        memory=(),
    ),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder of the results of two tiny suites, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("results")
    said = []
    module.run(TINY, folder, processes=1, progress=said.append)
    return folder, said


def test_a_row_per_network_and_where_it_was_measured(results):
    folder, said = results
    rows = helpers.read_rows(folder / "groups.csv")
    assert [(row["model"], row["quantize"], row["optimize"]) for row in rows] == [
        (model, quantize, optimize)
        for quantize in ("", "int8")
        for model in ("root_convnet:1", "root_convnet:4")
        for optimize in ("", "latency")
    ]
    for row in rows:
        assert row["family"] == "root_convnet" and row["side"] == "32"
        assert float(row["p10_ms"]) <= float(row["median_ms"]) <= float(row["p90_ms"])
        assert row["runs"] == "4"
        assert row["processor"] and "ai-edge-litert" in row["versions"]
        assert row["date"].startswith("20") and row["memory_mb"] == ""
        # Papers' counts of the dense network: convolutions and the classifier.
        if row["root"] == "1":
            assert row["macs"] == "12298378"
    dense, _, grouped, _ = rows[:4]
    assert dense["over"] == "root_convnet:1" and float(dense["ratio"]) == 1
    expected = float(grouped["median_ms"]) / float(dense["median_ms"])
    assert float(grouped["rise"]) == pytest.approx(expected)
    assert any("measuring 4 in turns, 4 calls each" in line for line in said)


def test_only_rewrites_that_change_something_are_measured(results):
    folder, _ = results
    rows = helpers.read_rows(folder / "rewrites.csv")
    assert [row["optimize"] for row in rows] == ["", "merge_normalization"]
    assert rows[0]["rewritten"] == ""
    assert rows[1]["rewritten"].startswith("merge_normalization:")


def test_pictures_are_drawn_again_without_measuring(results, monkeypatch, capsys):
    folder, _ = results
    monkeypatch.setattr(module, "measure", None)
    pictures = sorted(folder.glob("*.png"))
    assert [path.name for path in pictures] == ["groups.png", "rewrites.png"]
    before = [path.read_bytes() for path in pictures]
    for path in pictures:
        path.unlink()
    module.show(TINY | {"sizes": SUITES["sizes"]}, folder)
    assert [path.read_bytes() for path in pictures] == before
    out = capsys.readouterr().out
    assert "worst rise of root_convnet, int8 latency: " in out
    assert "rise" in out and str(folder / "groups.png") in out


def test_nothing_to_draw(tmp_path):
    with pytest.raises(
        ValueError, match="`output_dir` must hold results: ratios.csv or rewrites.csv"
    ):
        module.show(SUITES, tmp_path)
