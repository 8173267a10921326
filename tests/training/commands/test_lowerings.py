"""The command that measures how groups are computed."""

import pytest

from keras_roots.training.commands import lowerings


def test_another_backend_is_refused():
    with pytest.raises(ValueError, match="KERAS_BACKEND=jax.*Received.*tensorflow"):
        lowerings.main({})


def test_impossible_options():
    with pytest.raises(ValueError, match="dtype"):
        lowerings.Lowerings(dtype="int8")


def test_rows_are_printed_and_written(monkeypatch, tmp_path, capsys):
    rows = [{"form": "native", "forward_ms": 1.5}, {"form": "dense", "forward_ms": 2.0}]
    asked = {}

    def measure(**how):
        asked.update(how)
        yield from rows

    monkeypatch.setattr(lowerings.keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(lowerings.reports, "measure_lowerings", measure)
    path = tmp_path / "forms.csv"
    options = lowerings.Lowerings(dtype="float32", turns=3, output=str(path))
    lowerings.main({lowerings.Lowerings: options})
    assert asked == {"dtype": "float32", "turns": 3}
    printed = capsys.readouterr().out
    assert printed == path.read_text() == "form,forward_ms\nnative,1.5\ndense,2.0\n"
