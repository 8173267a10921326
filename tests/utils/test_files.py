"""Files: texts and tables, written and read back."""

import pytest

from keras_roots.utils import files


def test_rows_are_read_back_as_they_were(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("model,macs,ms,quantize,memory\nnet:1,12,1.5,int8,\n")
    rows = [
        {"model": "net:1", "macs": 12, "ms": 1.5, "quantize": "int8", "memory": None}
    ]
    assert files.read_csv(path) == rows
    files.write_csv(path, rows)
    assert files.read_csv(path) == rows


def test_names_that_look_like_numbers(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("row,part,next\n0.70,0.70,7\n,1,\n")
    assert files.read_csv(path, texts=("row", "next")) == [
        {"row": "0.70", "part": 0.7, "next": "7"},
        {"row": "", "part": 1, "next": ""},
    ]


NAMES = [
    "=1+1",
    "+conv",
    "-conv",
    "@conv",
    "\tconv",
    "'=1+1",
    "''",
    "conv-1",
    "größe",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_formulas_of_spreadsheets(name, tmp_path, capsys):
    path = tmp_path / "rows.csv"
    rows = [{"name": name, "part": -0.5}]
    files.write_csv(path, rows)
    assert path.read_text("utf-8").splitlines()[1][:1] not in tuple("=+-@\t")
    assert files.read_csv(path, texts=("name",)) == rows
    assert files.read_csv(path) == [{"name": name or None, "part": -0.5}]
    files.print_csv(rows)
    assert capsys.readouterr().out == path.read_text("utf-8")


def test_rows_are_printed_and_written_as_they_come(tmp_path, capsys):
    path = tmp_path / "rows.csv"

    def rows():
        yield {"a": 1, "b": "x"}
        assert capsys.readouterr().out == path.read_text() == "a,b\n1,x\n"
        yield {"a": 2, "b": None}

    files.print_csv(rows(), path)
    assert capsys.readouterr().out == "2,\n"
    assert path.read_text() == "a,b\n1,x\n2,\n"
    files.print_csv([{"a": 3}])
    assert capsys.readouterr().out == "a\n3\n"
