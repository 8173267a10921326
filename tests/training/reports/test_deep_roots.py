"""Table 2 and figures of Deep Roots, from released networks on few images."""

import dataclasses
import math

import helpers
import pytest

from keras_roots.models import NetworkName
from keras_roots.training import evaluation
from keras_roots.training.data import datasets
from keras_roots.training.evaluation import zoo
from keras_roots.training.reports import deep_roots


def test_table_2(monkeypatch, conditions, entry, measured):
    networks = {
        "root_nin:8:tree": range(30),
        "root_nin:1": range(20),
        "root_nin:8": range(15, 37),
    }
    entries = [entry(name) for name in networks]
    asked = []

    def measure(entries, conditions):
        names = [str(NetworkName.of_entry(entry)) for entry in entries]
        asked.extend(names)
        return [
            measured(entry, networks[name], 0.5)
            for name, entry in zip(names, entries, strict=True)
        ]

    monkeypatch.setattr(zoo, "released_index", lambda: entries)
    monkeypatch.setattr(evaluation, "measure_released", measure)
    said = []
    conditions = dataclasses.replace(conditions, say=said.append)
    path, short = deep_roots.table2(conditions)
    dense, root8, tree8 = helpers.read_rows(path)
    assert asked == ["root_nin:1", "root_nin:8", "root_nin:8:tree"]
    assert dense["paper_top1"] == "0.9211" and root8["paper_top1"] == "0.9215"
    assert dense["difference"] == ""
    assert float(dense["keras_top1"]) == 0.9 and float(root8["error"]) == 0.11
    # 15 images that only the dense network gets right wrong, 17 the other way.
    assert float(root8["difference"]) == -0.01
    low, high = float(root8["difference_low"]), float(root8["difference_high"])
    assert low < -0.05 and 0.03 < high < 0.05
    tail = sum(math.comb(32, k) for k in range(16)) / 2**32
    assert float(root8["p_value"]) == pytest.approx(2 * tail, rel=1e-2)
    assert float(tree8["difference"]) == -0.05 and float(tree8["p_value"]) < 0.01
    assert float(tree8["error_low"]) < 0.15 < float(tree8["error_high"])
    assert tree8["groups"] == "8 16" and tree8["paper_cpu_ms"] == "25.7"
    assert "Deep Roots, Table 2" in said[-1] and "-5.00%" in said[-1]
    lines = short.read_text().splitlines()
    assert lines[2].startswith("| `root_nin:1` | 0 M | 0.00 M | 92.11% | 90.00% |  |")
    assert "| 89.00% | -1.00% (-6." in lines[3]
    assert deep_roots.figure5(conditions) == [path.parent / "figure5.png"]
    assert (path.parent / "figure5.png").read_bytes().startswith(b"\x89PNG")


def test_table_2_needs_the_dense_network(monkeypatch, conditions, entry):
    monkeypatch.setattr(zoo, "released_index", lambda: [entry("root_nin:8")])
    with pytest.raises(ValueError, match="dense root_nin is not released"):
        deep_roots.table2(conditions)


def test_figure_5_needs_table_2(conditions):
    with pytest.raises(ValueError, match="measure table2 first"):
        deep_roots.figure5(conditions)


def test_figure_6(conditions):
    few = datasets.Arrays(
        *(a[::4] for a in dataclasses.astuple(conditions.dataset.test))
    )
    dataset = dataclasses.replace(conditions.dataset, test=few)
    conditions = dataclasses.replace(conditions, dataset=dataset)
    table, picture = deep_roots.figure6(conditions)
    rows = {(row["network"], row["blocks"]): row for row in helpers.read_rows(table)}
    assert float(rows["root_nin:1", "4"]["block_structure"]) == pytest.approx(
        1, abs=0.1
    )
    assert float(rows["root_nin:8", "4"]["block_structure"]) > 1.5
    assert picture.read_bytes().startswith(b"\x89PNG")
