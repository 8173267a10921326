"""The table of low ranks for 1x1s."""

import helpers
import pytest

from keras_roots.training.experiments import pointwise, tables

TABLE = pointwise.TABLE


def test_table_of_1x1s(tmp_path):
    ranks = {"mean_rank_ratio": 0.33333, "epochs": 0}
    helpers.write_runs(
        tmp_path,
        TABLE,
        {"decompose": ranks, **dict.fromkeys(("before", "trained"), {"epochs": 3})},
    )
    lines = {line["row"]: line for line in tables.lines(TABLE, tmp_path)}
    whole, low, longer = (lines[name] for name in ("whole", "0.7", "0.7-training"))
    assert (whole["error"], whole["trained_error"], whole["epochs"]) == (0.2, None, 0)
    assert whole["mean_rank_ratio"] is None
    assert (low["part"], low["before"], low["mean_rank_ratio"]) == (0.7, "none", 0.3333)
    number = list(lines).index("0.7")
    assert low["error"] == pytest.approx(0.2 + 0.01 * number)
    assert low["trained_error"] == pytest.approx(0.1 + 0.01 * number)
    assert (low["epochs"], longer["epochs"]) == (3, 6)
    # The error right after decomposing, not that after the training before it.
    assert longer["error"] == longer["trained_error"]
    (tmp_path / "0.7-force" / "trained" / "result.json").unlink()
    (tmp_path / "0.7-force" / "decompose" / "result.json").unlink()
    forced = tables.lines(TABLE, tmp_path)[-1]
    assert (forced["error"], forced["trained_error"]) == (None, None)
    assert forced["macs"] == 1005


def test_1x1s_are_decomposed_with_the_same_epochs_before():
    rows = {row.name: row for row in TABLE.rows}
    force, training = (rows[f"0.7-{name}"].stages for name in ("force", "training"))
    assert force[1:] == training[1:]
    assert force[0].recipe == training[0].recipe
    assert force[0].forces.layers == force[1].settings.layers == "pointwise"
