"""The table of everything together."""

import json

import helpers
import pytest

from keras_roots.training.experiments import frontier, tables
from keras_roots.training.stages import Train

TABLE = frontier.TABLE


def frontier_files(models, dataset):
    """The more names before it, the faster and the worse; the second in both worse."""
    lines = {}
    for index, name in enumerate(models):
        ms = 10.0 if index == 1 else 8.0 / 2**index
        for form, factor in (("litert_float32", 1), ("litert_int8", 0.3)):
            columns = {
                "ms": ms * factor,
                "ratio": ms * factor / 8,
                "error": 0.1 + 0.01 * index + 0.1 * (factor < 1),
                "zlib_bytes": 1234 + len(dataset),
            }
            line = {f"{form}_{key}": value for key, value in columns.items()}
            lines.setdefault(name, {}).update(line)
    return lines


def test_table_of_the_frontier(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(frontier.evaluation, "measure_files", frontier_files)
    changes = {"trained": {"epochs": 3}, "retrained": {"epochs": 3}}
    helpers.write_runs(tmp_path, TABLE, changes | {"pruned": {"zeros": 0.5}})
    measured = TABLE.measure({row.name: None for row in TABLE.rows}, "some data")
    assert set(measured) == {row.name for row in TABLE.rows}
    (tmp_path / "measured.json").write_text(json.dumps(measured))
    lines = {line["row"]: line for line in tables.lines(TABLE, tmp_path)}
    for short in ("nin", "resnet20"):
        rows = [line for name, line in lines.items() if name.startswith(f"{short}-")]
        choices = [row["choice"] for row in rows]
        assert choices[:2] == ["dense", "root"]
        marks = [row["on_frontier"] for row in rows]
        # The third and fourth in float32 are at 2 and 1 ms, the first in int8 at 2.4.
        assert marks[:4] == ["float32", "", "float32", "float32"]
        assert marks[-1] == "float32 int8"
        assert rows[0]["litert_float32_ratio"] == 1
    pruned = lines["nin-root-force-rank-pruned"]
    assert (pruned["zeros"], lines["nin-dense"]["zeros"]) == (0.5, 0)
    assert pruned["epochs"] == 6
    text = tables.markdown(TABLE, [lines["nin-dense"]])
    assert "| `root_nin:1` | dense | 1,000 | 0 | 10.00% | 1.00 | 1,243 |" in text
    *_, picture = tables.write("frontier", TABLE, tmp_path, tmp_path)
    drawn = picture.read_bytes()
    assert len(drawn) > 10_000
    # The same of the CSV file alone.
    *_, again = tables.write("frontier", TABLE, tmp_path / "none", tmp_path)
    assert again == picture
    assert again.read_bytes() == drawn


@pytest.mark.parametrize("network", frontier.NETWORKS, ids=lambda n: n.short)
def test_the_frontier_adds_one_thing_after_the_other(network):
    rows = {
        row.labels["choice"]: row.stages
        for row in TABLE.rows
        if row.labels["network"] == f"{network.model}:1"
    }
    assert rows["force + rank"][1:] == rows["rank"]
    together, pruned = rows["root + force + rank"], rows["root + force + rank + pruned"]
    assert pruned[: len(together)] == together
    assert [stage for stage in together if stage.name != "force"] == [
        *rows["root + rank"]
    ]
    for stages in rows.values():
        for stage in stages:
            if isinstance(stage, Train):
                assert stage.recipe.epochs == network.epochs
