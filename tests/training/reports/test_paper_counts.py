"""The papers' counts beside the models'."""

import copy
import csv

import pytest

from keras_roots.training.reports import paper_counts


@pytest.fixture
def wrong_nin(monkeypatch):
    """The table of NiN with one count that no model has."""
    tables = copy.deepcopy(paper_counts.tables())
    tables["nin"]["rows"] = tables["nin"]["rows"][:3]
    tables["nin"]["rows"][1]["params"] += 1
    monkeypatch.setattr(paper_counts, "tables", lambda: tables)


def test_rows():
    rows = paper_counts.compute("nin")
    assert len(rows) == 13
    assert all(row["match"] for row in rows)
    (row,) = [row for row in rows if (row["root"], row["topology"]) == (8, "root")]
    assert row["groups"] == "8 4"
    assert row["top1"] == 0.9215
    for source in ("paper", "corrected", "computed"):
        assert row[f"{source}_macs"] == 103_343_498
        assert row[f"{source}_params"] == 314_954


def test_unknown_table():
    with pytest.raises(ValueError, match="`table` must be one of.*table='vgg'"):
        paper_counts.compute("vgg")


def test_mismatch_is_marked(wrong_nin):
    matches = [row["match"] for row in paper_counts.compute("nin")]
    assert matches == [True, False, True]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (103_343_498, "103,343,498"),
        (5.65e12, "5.65e+12"),
        (0.9215, "0.9215"),
        (39.0, "39"),
        (True, "yes"),
        (False, "no"),
        (None, "-"),
    ],
)
def test_render(value, text):
    rows = [{"root": 1, "figure": value}, {"root": 2, "figure": 7}]
    header, _, first, second = paper_counts.render(rows).splitlines()
    assert header.split() == ["root", "figure"]
    assert first.split() == ["1", text] and second.split() == ["2", "7"]


def test_columns_that_no_row_has_are_left_out():
    rows = [{"root": 1, "cpu_ms": None, "gpu_ms": 1.5}]
    assert paper_counts.render(rows).splitlines()[0].split() == ["root", "gpu", "ms"]


def test_tables_are_printed_and_written(capsys, tmp_path):
    path = tmp_path / "tables.csv"
    paper_counts.print_tables(["nin", "nin"], str(path))
    printed = capsys.readouterr().out
    assert "Tables 1 and 2" in printed
    assert printed.count("103,343,498") == 3
    assert printed.endswith("13 of 13 rows match the corrected counts.\n")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13
    assert rows[3]["table"] == "nin" and rows[3]["computed_macs"] == "103343498"
    assert rows[3]["paper_macs"] == rows[3]["corrected_macs"] == "103343498"
    assert rows[3]["match"] == "True"
    assert [entry.name for entry in tmp_path.iterdir()] == ["tables.csv"]


def test_counts_that_differ_are_an_error(capsys, wrong_nin, tmp_path):
    path = tmp_path / "tables.csv"
    with pytest.raises(ValueError, match="1 rows differ"):
        paper_counts.print_tables(["nin"], str(path))
    assert "2 of 3 rows" in capsys.readouterr().out
    assert "False" in path.read_text()


def test_csv_in_a_folder_that_is_not_there(capsys):
    with pytest.raises(FileNotFoundError, match="existing folder.*no/such/tables.csv"):
        paper_counts.print_tables(["nin"], "no/such/tables.csv")
    assert not capsys.readouterr().out  # before the work, not after it
