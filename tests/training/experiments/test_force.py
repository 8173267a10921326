"""The table of forces and their controls."""

import helpers
import pytest

from keras_roots.training.experiments import force, tables

TABLE = force.TABLE


def test_every_force_stands_beside_the_same_training_without_one():
    trained = [row for row in TABLE.rows if row.labels["method"] is None]
    for model, recipe in force.RECIPES.items():
        own = [row for row in trained if row.labels["network"] == f"{model}:1"]
        assert {row.stages[1].recipe for row in own} == {recipe}
        assert not recipe.nesterov
        strengths = [row.stages[1].forces.strength for row in own]
        assert strengths.count(0.0) == 1 and len(set(strengths)) == len(strengths)
        assert {row.stages[1].family for row in own} == {model}


def test_every_network_is_decomposed_by_both_methods():
    """From the same training, to the same part of the multiply-adds."""
    rows = {row.name: row for row in TABLE.rows}
    for name, row in rows.items():
        method = row.labels["method"]
        if method is None:
            continue
        assert row.stages[:2] == rows[name.removesuffix(f"-{method}")].stages
        settings = row.stages[2].settings
        assert (settings.method, settings.budget) == ((method,), force.PART)
    methods = {row.labels["method"] for row in TABLE.rows}
    assert methods == {None, "pca", "responses"}
    assert len(TABLE.rows) == 3 * (6 + 6)


def test_columns(tmp_path):
    helpers.write_runs(
        tmp_path,
        TABLE,
        {"baseline": {}, "force": {"epochs": 7}, "decompose": {"mean_rank_ratio": 0.5}},
    )
    lines = {line["row"]: line for line in tables.lines(TABLE, tmp_path)}
    plain, low = (lines[f"root_convnet-l2-0.0001{end}"] for end in ("", "-pca"))
    assert (plain["network"], plain["norm"], plain["strength"]) == (
        "root_convnet:1",
        "l2",
        1e-4,
    )
    assert (plain["epochs"], plain["decomposed_error"]) == (7, None)
    assert low["mean_rank_ratio"] == 0.5 and low["method"] == "pca"
    result = TABLE.rows[0].outcome(tmp_path).result("force")
    assert lines[TABLE.rows[0].name]["error"] == pytest.approx(1 - result["top1"])
