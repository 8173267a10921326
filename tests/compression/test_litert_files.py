import types

import keras
import pytest

from keras_roots import benchmarking, export
from keras_roots.compression import litert_files
from keras_roots.compression.litert_files import LiteRTFile, best, exported, measured


def test_the_int8_file_is_returned_where_it_is_nearer_and_as_fast():
    """The budget is met, but fine-tuning or a plan only made things worse."""

    def row(name, ratio, error, metric=None):
        return {"name": name, "ratio": ratio, "error": error, "metric": metric}

    original = row("original", 1.0, 0.0)
    cases = [
        ((0.25, 0.01), (0.25, 0.02), 1),  # within the budget and nearer
        ((0.25, 0.03), (0.25, 0.02), 2),
        ((0.31, 0.01), (0.25, 0.02), 2),  # too slow
        ((0.31, 0.01), (0.32, 0.02), 1),  # slower, but as fast as the other
        ((0.25, 0.02), (0.25, 0.02), 1),
    ]
    for plain, compressed, index in cases:
        rows = [original, row("quantized", *plain), row("compressed", *compressed)]
        assert best(rows, 0.3) == index
    # Within multiply-adds the network as it is never is.
    assert (
        best([original, row("quantized", 0.2, 0), row("compressed", 1, 1)], None) == 2
    )
    # The user's metric goes first.
    rows = [
        row("original", 1.0, 0.0, 0.5),
        row("quantized", 0.2, 0.0, 0.5),
        row("compressed", 0.2, 0.1, 0.6),
    ]
    assert best(rows, 0.3) == 2


def _files():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    names = {"original": None, "quantized": "int8", "compressed": None}
    return [LiteRTFile(name, model, None, how) for name, how in names.items()]


def _refuse(monkeypatch, *refused):
    def export_bytes(model, quantize, samples, target):
        if quantize in refused:
            raise export.ExportError("unknown operation")
        return f"file {quantize}".encode()

    monkeypatch.setattr(litert_files, "export_bytes", export_bytes)


def test_a_refused_int8_file_of_the_original_is_left_out(monkeypatch):
    _refuse(monkeypatch, "int8")
    lines = []
    found = exported(_files(), None, "avx2", (), lines.append)
    assert [file.name for file in found] == ["original", "compressed"]
    assert [file.content for file in found] == [b"file None"] * 2
    assert lines == ["quantized: no file, unknown operation"]


def test_files_that_are_refused_have_no_content_unless_required(monkeypatch):
    _refuse(monkeypatch, None)
    found = exported(_files(), None, "avx2", (), [].append)
    assert [file.content for file in found] == [None, b"file int8", None]
    with pytest.raises(export.ExportError):
        exported(_files(), None, "avx2", {"compressed"}, [].append)


def test_files_are_measured_in_turns(monkeypatch):
    def compare(cases, runs):
        assert list(cases) == ["original", "compressed"]
        times = (2.0, 1.0)
        return [types.SimpleNamespace(median_ms=t, ratio=t / 2) for t in times]

    monkeypatch.setattr(benchmarking, "compare", compare)
    files = _files()
    files[0].content, files[2].content = b"12345", b"123"
    rows = measured(files, 1)
    assert rows == [
        {"bytes": 5, "ms": 2.0, "ratio": 1.0},
        {},
        {"bytes": 3, "ms": 1.0, "ratio": 0.5},
    ]
    assert measured([files[1]], 1) == [{}]
