"""Tables and figures of the papers, from released networks on few images."""

import csv
import dataclasses
import math
import statistics

import numpy as np
import pytest

from keras_roots import create_model
from keras_roots.benchmarking.comparison import Latency
from keras_roots.models import registry, released
from keras_roots.training import evaluation
from keras_roots.training.data import datasets
from keras_roots.training.evaluation import zoo_measuring
from keras_roots.training.evaluation.zoo_measuring import Laboratory, Measured
from keras_roots.training.reports import deep_roots, force_results

IMAGES = 200


@pytest.fixture
def laboratory(tmp_path):
    sample = datasets.open_dataset("cifar10-sample")
    return Laboratory(sample, tmp_path, runs=2, say=lambda line: None)


def _read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def _latency(ms, ratio):
    texts = dict.fromkeys(Latency.__dataclass_fields__, "")
    return Latency(**texts | {"median_ms": ms, "ratio": ratio})


def _measured(entry, wrong, ratio=1.0, model=None):
    """A network that is wrong on the images of these numbers."""
    ranks = np.ones(IMAGES, int)
    ranks[list(wrong)] = 3
    kinds = ("keras", "litert_float32", "litert_int8")
    return Measured(
        entry,
        model,
        dict.fromkeys(kinds, ranks),
        dict.fromkeys(kinds[1:], 1000),
        dict.fromkeys(kinds[1:], _latency(2 * ratio, ratio)),
    )


def _entry(name, weights="cifar10", **others):
    model, arguments = registry.parse_name(name)
    return {
        "model": model,
        "root": arguments["root"],
        "topology": arguments.get("topology", "root"),
        "groups": list(registry.groups(name)),
        "weights": weights,
        "macs": 100,
        "params": 10,
        "validation_top1": None,
        "command": "keras-roots-train",
        **others,
    }


def test_released_networks_are_measured(laboratory):
    entries = zoo_measuring.find_entries("root_convnet", "cifar10-force-l2")
    found = zoo_measuring.measure(entries, laboratory)
    assert [network.entry for network in found] == entries
    sample = laboratory.dataset.test
    for network in found:
        images = sample.images.astype("float32")
        scores = network.model.predict(images, verbose=0)
        right = scores.argmax(-1) == sample.labels
        np.testing.assert_array_equal(network.correct(), right)
        assert set(network.latencies) == set(network.sizes) == set(zoo_measuring.LITERT)
    whole, small = (network.columns(found[0]) for network in found)
    assert whole["litert_int8_ratio"] == 1.0
    assert small["litert_int8_bytes"] < whole["litert_int8_bytes"]
    assert small["macs_ratio"] == round(small["macs"] / whole["macs"], 4) < 1
    assert small["litert_float32_ms"] > 0
    with pytest.raises(ValueError, match="No root_alexnet is released as 'cifar10'"):
        zoo_measuring.find_entries("root_alexnet", "cifar10")


@pytest.mark.parametrize(("right", "images"), [(180, 200), (0, 50), (50, 50)])
def test_wilson_interval_has_the_bounds_that_just_allow_the_accuracy(right, images):
    correct = np.arange(images) < right
    z = statistics.NormalDist().inv_cdf(0.975)
    for bound in zoo_measuring.wilson_interval(correct):
        deviation = math.sqrt(bound * (1 - bound) / images)
        assert abs(right / images - bound) == pytest.approx(z * deviation, abs=1e-9)


def test_table_2(monkeypatch, laboratory):
    networks = {
        "root_nin:8:tree": range(30),
        "root_nin:1": range(20),
        "root_nin:8": range(15, 37),
    }
    entries = [_entry(name) for name in networks]
    asked = []

    def measure(entries, laboratory):
        asked.extend(map(released.name, entries))
        return [_measured(e, networks[released.name(e)], 0.5) for e in entries]

    monkeypatch.setattr(zoo_measuring, "released_index", lambda: entries)
    monkeypatch.setattr(evaluation, "measure_released", measure)
    said = []
    laboratory = dataclasses.replace(laboratory, say=said.append)
    path, short = deep_roots.table2(laboratory)
    dense, root8, tree8 = _read(path)
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
    assert deep_roots.figure5(laboratory) == [path.parent / "figure5.png"]
    assert (path.parent / "figure5.png").read_bytes().startswith(b"\x89PNG")


def test_table_2_needs_the_dense_network(monkeypatch, laboratory):
    monkeypatch.setattr(zoo_measuring, "released_index", lambda: [_entry("root_nin:8")])
    with pytest.raises(ValueError, match="dense root_nin is not released"):
        deep_roots.table2(laboratory)


def test_figure_5_needs_table_2(laboratory):
    with pytest.raises(ValueError, match="measure table2 first"):
        deep_roots.figure5(laboratory)


def test_figure_6(laboratory):
    few = datasets.Arrays(
        *(a[::4] for a in dataclasses.astuple(laboratory.dataset.test))
    )
    dataset = dataclasses.replace(laboratory.dataset, test=few)
    laboratory = dataclasses.replace(laboratory, dataset=dataset)
    table, picture = deep_roots.figure6(laboratory)
    rows = {(row["network"], row["blocks"]): row for row in _read(table)}
    assert float(rows["root_nin:1", "4"]["block_structure"]) == pytest.approx(
        1, abs=0.1
    )
    assert float(rows["root_nin:8", "4"]["block_structure"]) > 1.5
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_table_1(monkeypatch, laboratory):
    monkeypatch.setattr(force_results, "MODELS", ("root_convnet",))
    names = ("cifar10", "cifar10-force-l2", "cifar10-force-l2-decomposed")
    wrong = dict(zip(names, (range(20), range(30), range(40)), strict=True))
    entries = [
        _entry(f"{model}:1", name, command="keras-roots-compress --force_strength=3e-4")
        for model in force_results.MODELS
        for name in names[::-1]
    ]
    macs = {names[-1]: 75}
    entries = [e | {"macs": macs.get(e["weights"], 100)} for e in entries]
    entries = [
        e | ({"command": "keras-roots-train"} if e["weights"] == "cifar10" else {})
        for e in entries
    ]
    models = {"root_convnet": create_model("root_convnet:1")}

    def measure(entries, laboratory):
        return [
            _measured(e, wrong[e["weights"]], e["macs"] / 100, models[e["model"]])
            for e in entries
        ]

    monkeypatch.setattr(zoo_measuring, "released_index", lambda: entries)
    monkeypatch.setattr(evaluation, "measure_released", measure)
    path, short, *pictures = force_results.table1(laboratory)
    assert [picture.name for picture in pictures] == ["spectra-root_convnet.png"]
    rows = {(row["network"], row["force"]): row for row in _read(path)}
    assert len(rows) == 2
    plain, forced = (rows["root_convnet", force] for force in ("none", "l2"))
    assert (plain["error"], plain["paper_error"]) == ("0.1", "0.18")
    assert (plain["strength"], plain["decomposed_error"]) == ("", "")
    assert (forced["error"], forced["paper_error"]) == ("0.15", "0.179")
    assert float(forced["strength"]) == 3e-4
    assert (forced["decomposed_error"], forced["decomposed_macs_ratio"]) == (
        "0.2",
        "0.75",
    )
    assert forced["decomposed_int8_ratio"] == "0.75"
    assert forced["paper_mean_rank_ratio"] == "0.5417"
    assert len(plain["ranks"].split()) == 3
    lines = short.read_text().splitlines()
    assert lines[2].startswith("| `root_convnet` | none | 18.00% / 10.00% | 74.5% / ")
    assert lines[3].startswith("| `root_convnet` | l2, 0.0003 | 17.90% / 15.00% | ")
    assert lines[3].endswith("| 20.00% | 0.75 | 0.75 / 0.75 |")
