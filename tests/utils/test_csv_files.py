"""CSV files of results, read back."""

from keras_roots.utils import csv_files, files


def test_rows_are_read_back_as_they_were(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("model,macs,ms,quantize,memory\nnet:1,12,1.5,int8,\n")
    rows = [
        {"model": "net:1", "macs": 12, "ms": 1.5, "quantize": "int8", "memory": None}
    ]
    assert csv_files.read(path) == rows
    files.write_csv(path, rows)
    assert csv_files.read(path) == rows


def test_names_that_look_like_numbers(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("row,part,next\n0.70,0.70,7\n,1,\n")
    assert csv_files.read(path, texts=("row", "next")) == [
        {"row": "0.70", "part": 0.7, "next": "7"},
        {"row": "", "part": 1, "next": ""},
    ]
