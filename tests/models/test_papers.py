"""Every row of every table of the papers, recounted from the models."""

import json
from importlib import resources

import pytest

from keras_roots import create_model, profile

PAPERS = json.loads((resources.files("keras_roots.zoo") / "papers.json").read_text())
ROWS = [
    pytest.param(
        table["model"],
        row,
        id=f"{name}-{row['topology']}-{row['root']}"
        + ("-without-heads" if row.get("aux_heads") is False else ""),
    )
    for name, table in PAPERS.items()
    for row in table["rows"]
]


@pytest.mark.parametrize(("model", "row"), ROWS)
@pytest.mark.usefixtures("zero_weights")
def test_row(model, row):
    names = [name for name in ("root", "topology", "aux_heads") if name in row]
    counted = profile(create_model(model, **{name: row[name] for name in names}))
    assert (counted.macs, counted.params) == (row["macs"], row["params"])
    assert {layer.groups for layer in counted.layers} == {1, *row["groups"]}


# Typed from the papers once more, so that data and models cannot drift together.
@pytest.mark.parametrize(
    ("table", "rows", "first", "last"),
    [
        ("nin", 13, (222_487_946, 966_986), (91_325_834, 213_578)),
        ("resnet50", 7, (3_857_974_312, 25_503_976), (2_114_860_072, 15_312_808)),
        ("resnet200", 7, (15_007_482_856, 64_497_832), (7_773_107_176, 34_860_904)),
        ("googlenet", 10, (1_716_324_392, 18_809_576), (744_954_008, 7_569_944)),
        ("alexnet", 3, (1_135_266_664, 62_378_344), (518_992_744, 60_258_664)),
    ],
)
def test_data(table, rows, first, last):
    found = PAPERS[table]["rows"]
    assert len(found) == rows
    assert (found[0]["macs"], found[0]["params"]) == first
    assert (found[-1]["macs"], found[-1]["params"]) == last


@pytest.mark.parametrize(("name", "table"), PAPERS.items())
def test_published_counts_stand_unless_known_wrong(name, table):
    wrong = {"resnet200"}
    for row in table["rows"]:
        if row.get("aux_heads") is False:
            assert row["paper_macs"] is row["paper_params"] is None
        elif name not in wrong:
            assert row["paper_macs"] == row["macs"]
            assert row["paper_params"] == row["params"]
