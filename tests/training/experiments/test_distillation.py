"""The table of distillation without labels."""

import helpers
import pytest

from keras_roots.training.experiments import distillation, tables

TABLE = distillation.TABLE


def test_table_of_distillation(tmp_path):
    helpers.write_runs(tmp_path, TABLE, {"finetune": {"epochs": 5}})
    lines = {line["row"]: line for line in tables.lines(TABLE, tmp_path)}
    whole, low = lines["root_nin"], lines["root_nin-0.35"]
    assert (whole["part"], whole["trained_error"], whole["epochs"]) == (1.0, None, 0)
    assert (low["part"], low["network"], low["epochs"]) == (0.35, "root_nin:1", 5)
    number = list(lines).index("root_nin-0.35")
    # Later stages of these made-up results are all as good as each other.
    assert low["error"] == low["trained_error"] == pytest.approx(0.1 + 0.01 * number)
    assert low["macs"] == 1000 + number
    (tmp_path / "root_nin-0.35" / "finetune" / "result.json").unlink()
    (tmp_path / "root_nin-0.35" / "decompose" / "result.json").unlink()
    again = {line["row"]: line for line in tables.lines(TABLE, tmp_path)}
    # The whole network's figures are not those of one that was made cheaper.
    assert again["root_nin-0.35"]["error"] is None


def test_no_row_uses_labels():
    """Neither groups and ranks, nor the training."""
    for row in TABLE.rows:
        kinds = [type(stage).__name__ for stage in row.stages]
        assert kinds in (["Keep"], ["Keep", "MeetBudget", "Distil"])
