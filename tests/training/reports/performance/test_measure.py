"""Measuring a suite."""

import dataclasses

import pytest

from keras_roots.training.reports.performance import measure as measuring
from keras_roots.training.reports.performance.conversions import convert
from keras_roots.training.reports.performance.measure import measure, possible
from keras_roots.training.reports.performance.suites import Grid, Suite


def test_what_cannot_be_converted_is_left_out(tmp_path):
    models = ("root_convnet:1", "root_convnet:64", "root_none:1")
    grid = Grid(models, quantize=(None,), optimize=(None,))
    suite = Suite("", (grid,), apart=(), calls=1, rounds=1)
    said = []
    converted = convert(suite.trials(), tmp_path, 1, said.append)
    assert [key.model for key in converted] == ["root_convnet:1"]
    refused = [line for line in said if line.startswith("cannot convert")]
    assert "Roots that work" in refused[0] and "root_none" in refused[1]
    (row,) = measure(suite, converted)
    assert row["model"] == "root_convnet:1"
    with pytest.raises(ValueError, match="None of the suite's networks"):
        measure(suite, {})


def test_runtimes_that_are_not_installed_are_left_out(monkeypatch):
    said = []
    monkeypatch.setattr(measuring, "OTHER_RUNTIMES", ("onnxruntime", "no_such"))
    grid = Grid(("root_nin:1",), runtime=("litert", "no_such"))
    suite = Suite("", (grid, dataclasses.replace(grid, runtime=("no_such",))), ())
    trials = possible(suite, said.append).trials()
    assert {trial.runtime for trial in trials} == {"litert"} and len(trials) == 4
    assert said == 2 * ["without no_such, which is not installed"]


def test_a_runtime_that_refuses_leaves_the_others(monkeypatch, tmp_path):
    grid = Grid(
        ("root_convnet:1",),
        quantize=(None,),
        optimize=(None,),
        runtime=("litert", "onnxruntime"),
    )
    suite = Suite("", (grid,), apart=(), calls=1, rounds=1)
    converted = convert(suite.trials(), tmp_path, 1)
    assert [file.path[-6:] for file in converted.values()] == ["tflite", ".keras"]
    compare = measuring.benchmarking.compare

    def refuse(cases, **how):
        if any(case.runtime == "onnxruntime" for case in cases.values()):
            raise ImportError("needs a package")
        return compare(cases, **how)

    monkeypatch.setattr(measuring.benchmarking, "compare", refuse)
    said = []
    (row,) = measure(suite, converted, said.append)
    assert row["runtime"] == "litert"
    assert "without onnxruntime and openvino: needs a package" in said
