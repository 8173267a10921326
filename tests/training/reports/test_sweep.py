import dataclasses
import os

import helpers
import keras
import numpy as np
import pytest

from keras_roots.training.reports import sweep


@pytest.fixture
def file(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            helpers.conv(16, 3, name="first"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            helpers.conv(16, 3, name="second"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    path = tmp_path / "network.keras"
    helpers.assign_random(model).save(path)
    return str(path)


def test_a_network_passes_every_step(file):
    rows = sweep.put_through(file, helpers.pixels(20, 16), None, 0.6)
    assert [row["step"] for row in rows] == list(sweep.STEPS)
    assert {row["outcome"] for row in rows} == {sweep.WORKS}, rows
    errors = {row["step"]: row["error"] for row in rows}
    for step in ("copy", "full_rank", "rewrites", "saved", "float32"):
        assert errors[step] < 1e-6
    assert 0 < errors["compress"] < 1
    compressed = next(row for row in rows if row["step"] == "compress")
    assert compressed["macs_after"] <= 0.6 * compressed["macs"]


@pytest.mark.parametrize(
    "error, exact, outcome",
    [
        (0.0, True, sweep.WORKS),
        (0.3, True, sweep.WRONG),
        (0.3, False, sweep.WORKS),
        (np.nan, False, sweep.WRONG),
        (ValueError("no such layer"), True, sweep.REFUSED),
        (RuntimeError("out of range"), True, sweep.WRONG),
    ],
)
def test_outcomes_of_a_step(file, monkeypatch, error, exact, outcome):
    def run(trial):
        if isinstance(error, Exception):
            raise error
        return error

    step = dataclasses.replace(sweep.STEPS["copy"], run=run, exact=exact)
    monkeypatch.setattr(sweep, "STEPS", {"copy": step})
    (row,) = sweep.put_through(file, helpers.pixels(2, 16), None, 0.5)
    assert row["outcome"] == outcome
    if isinstance(error, Exception):
        assert str(error) in row["message"]
    elif outcome == sweep.WRONG:
        assert row["message"] == f"outputs are off by {error:.2%}"


def test_a_network_that_cannot_be_built_has_a_row():
    (row,) = sweep.put_through("root_vgg", helpers.pixels(2, 16), None, 0.5)
    assert (row["step"], row["outcome"]) == ("build", sweep.REFUSED)


@pytest.mark.slow
def test_a_network_in_a_process_of_its_own(tmp_path):
    damaged = tmp_path / "crash.keras"
    damaged.write_bytes(b"no archive")
    told = []
    (row,) = sweep.sweep_network(
        str(damaged), helpers.pixels(8, 16), None, 0.6, told.append
    )
    assert (row["network"], row["outcome"]) == (str(damaged), sweep.REFUSED)
    (line,) = told
    assert "1 refused" in line


@pytest.mark.slow
def test_a_process_that_dies(monkeypatch):
    monkeypatch.setattr(sweep, "put_through", _die)
    (row,) = sweep.sweep_network("root_nin:8", helpers.pixels(2, 16))
    assert row["outcome"] == sweep.CRASHED


def _die(*args):
    os._exit(1)


def test_rows_are_rendered_with_the_words_of_refusals():
    rows = [
        {"network": "a", "step": "copy", "outcome": "works", "error": 0, "macs": 1234},
        {"network": "a", "step": "compress", "outcome": "works", "error": 0.25},
        {"network": "b", "step": "copy", "outcome": "refused", "message": "because"},
        {"network": "b", "step": "int8", "outcome": "refused", "message": "because"},
    ]
    text = sweep.render(rows, 0.5)
    lines = text.splitlines()
    assert "compressed to 0.5" in lines[0]
    assert "1,234" in lines[2] and "same" in lines[2] and "25.00%" in lines[2]
    assert lines[3].count("refused (1)") == 2
    assert "1. because" in lines
