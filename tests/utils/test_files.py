"""Files: written whole or not at all, and read back."""

import os

import pytest

from keras_roots.utils import files


def test_a_file_appears_at_the_end(tmp_path):
    path = tmp_path / "out"
    with files.replacing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(KeyError), files.replacing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("half")
        raise KeyError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").write_text("old")
    with files.replacing(path, folder=True) as temporary:
        with open(os.path.join(temporary, "new"), "w") as file:
            file.write("123")
    assert os.listdir(path) == ["new"]
    assert os.listdir(tmp_path) == ["out"]
    assert files.size(path) == files.size(path / "new") == 3


def test_a_failed_folder_is_removed(tmp_path):
    with pytest.raises(KeyError), files.replacing(tmp_path / "out", folder=True) as new:
        open(os.path.join(new, "half"), "w").close()
        raise KeyError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "folder", "error", "text"),
    [
        ("missing/out", False, FileNotFoundError, "existing folder"),
        ("file/out", False, FileNotFoundError, "existing folder"),
        ("folder", False, FileExistsError, "must not be an existing folder"),
        ("file", True, FileExistsError, "must not be an existing file"),
    ],
)
def test_an_impossible_path_is_refused_before_the_work(
    tmp_path, name, folder, error, text
):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(error, match=text):
        with files.replacing(tmp_path / name, folder=folder):
            pytest.fail("the work began")


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError("not allowed")

    monkeypatch.setattr(files.os, "mkdir", refuse)
    with pytest.raises(PermissionError, match="`path` must be in a folder that can be"):
        with files.replacing(tmp_path / "out", folder=True):
            pytest.fail("the work began")


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
