"""The command that measures everything for the page of results."""

import csv
import dataclasses
from types import SimpleNamespace

import pytest

from keras_roots import create_model, list_models, profile
from keras_roots.training.commands import performance
from keras_roots.training.reports import (
    conversions,
    performance_measuring,
    performance_rows,
)
from keras_roots.training.reports.conversions import Conversion
from keras_roots.training.reports.performance_suites import (
    ROOTS,
    SUITES,
    Grid,
    Suite,
    quick,
)


def _row(root, ms, family="root_nin", **values):
    row = {"model": f"{family}:{root}", "family": family, "root": root, "side": 32}
    row |= {"quantize": None, "optimize": None, "runtime": "litert", "threads": 1}
    return row | {"batch_size": 1, "median_ms": ms} | values


def test_rise_is_over_the_fastest_of_fewer_groups():
    rows = [
        _row(4, 6.0),
        _row(1, 10.0),
        _row(8, 4.5),
        _row(2, 5.0),
        _row(2, 8.0, quantize="int8"),
        _row(1, 4.0, quantize="int8"),
        _row(None, 1.0, family="other"),
    ]
    rises = performance_rows.rise(rows)
    assert rises == [1.2, None, 0.9, 0.5, 2.0, None, None]
    for row, value in zip(rows, rises, strict=True):
        row["rise"] = value
    assert performance_rows.worst_rises(rows) == [
        "worst rise of root_nin, float32: 1.200 at root 4",
        "worst rise of root_nin, int8: 2.000 at root 2",
    ]


def test_dense_ratio_compares_like_with_like():
    rows = [
        _row(1, 10.0),
        _row(8, 5.0),
        _row(1, 8.0, optimize="latency"),
        _row(8, 2.0, optimize="latency"),
        _row(8, 2.0, family="root_convnet"),  # whose dense network is missing
    ]
    assert performance_rows.dense_ratio(rows) == [1.0, 0.5, 1.0, 0.25, None]


def test_times_by_work():
    rows = [_row(1, 8.0, side=448, batch_size=4), _row(1, 8.0, side=112)]
    assert performance_rows.ms_as_224(rows) == [2.0, 32.0]
    assert performance_rows.ms_per_image(rows) == [2.0, 8.0]


def test_roots_are_the_largest_powers_of_two():
    assert sorted(ROOTS) == list_models()
    for family, root in ROOTS.items():
        topology = "column" if family == "root_alexnet" else "root"
        # The message names the layer that cannot be divided further; 32 divides all.
        with pytest.raises(ValueError, match=rf"root={2 * root}.*\b{root}\b"):
            create_model(family, root=2 * root, topology=topology)


@pytest.mark.parametrize("name", SUITES)
def test_suites_can_be_measured(name):
    trials = SUITES[name].trials()
    assert len(set(trials)) == len(trials)
    assert all(hasattr(trial, key) for trial in trials for key in SUITES[name].apart)
    groups = {}
    for trial in trials:
        key = tuple(getattr(trial, part) for part in SUITES[name].apart)
        groups.setdefault(key, []).append(trial)
    # All of a comparison are in memory at once.
    assert max(map(len, groups.values())) <= 26
    fewer = quick(SUITES[name]).trials()
    assert set(fewer) <= set(trials) and len(fewer) < len(trials)


def test_sizes_and_roots_of_the_suites():
    trials = SUITES["sizes"].trials()
    assert {trial.side for trial in trials} == {96, 128, 160, 192, 224, 288, 352, 448}
    trials = SUITES["groups"].trials()
    roots = {trial.root for trial in trials if trial.family == "root_resnet50"}
    assert roots == {1, 2, 4, 8, 16, 32, 64}


TINY = {
    "groups": dataclasses.replace(
        SUITES["groups"],
        grids=(Grid(("root_convnet:1", "root_convnet:4")),),
        calls=4,
        rounds=2,
    ),
    "rewrites": dataclasses.replace(
        SUITES["rewrites"],
        grids=(
            Grid(
                ("root_convnet:4",),
                quantize=(None,),
                optimize=(None, "merge_projections", "merge_normalization"),
            ),
        ),
        calls=2,
        rounds=1,
        memory=(),
    ),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder of the results of two tiny suites, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("results")
    said = []
    performance.run_suites(TINY, folder, processes=1, progress=said.append)
    return folder, said


def _read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_per_network_and_where_it_was_measured(results):
    folder, said = results
    rows = _read(folder / "groups.csv")
    assert [(row["model"], row["quantize"], row["optimize"]) for row in rows] == [
        (model, quantize, optimize)
        for quantize in ("", "int8")
        for model in ("root_convnet:1", "root_convnet:4")
        for optimize in ("", "latency")
    ]
    for row in rows:
        assert row["family"] == "root_convnet" and row["side"] == "32"
        assert float(row["p10_ms"]) <= float(row["median_ms"]) <= float(row["p90_ms"])
        assert row["runs"] == "4"
        assert row["processor"] and "ai-edge-litert" in row["versions"]
        assert row["date"].startswith("20") and row["memory_mb"] == ""
        # Papers' counts of the dense network: convolutions and the classifier.
        if row["root"] == "1":
            assert row["macs"] == "12298378"
    dense, _, grouped, _ = rows[:4]
    assert dense["over"] == "root_convnet:1" and float(dense["ratio"]) == 1
    expected = float(grouped["median_ms"]) / float(dense["median_ms"])
    assert float(grouped["rise"]) == pytest.approx(expected)
    assert any("measuring 4 in turns, 4 calls each" in line for line in said)


def test_only_rewrites_that_change_something_are_measured(results):
    folder, _ = results
    rows = _read(folder / "rewrites.csv")
    assert [row["optimize"] for row in rows] == ["", "merge_normalization"]
    assert rows[0]["rewritten"] == ""
    assert rows[1]["rewritten"].startswith("merge_normalization:")


def test_pictures_are_drawn_again_without_measuring(results, monkeypatch, capsys):
    folder, _ = results
    monkeypatch.setattr(performance, "measure_suite", None)
    pictures = sorted(folder.glob("*.png"))
    assert [path.name for path in pictures] == ["groups.png", "rewrites.png"]
    before = [path.read_bytes() for path in pictures]
    for path in pictures:
        path.unlink()
    performance.show_results(TINY | {"sizes": SUITES["sizes"]}, folder)
    assert [path.read_bytes() for path in pictures] == before
    out = capsys.readouterr().out
    assert "worst rise of root_convnet, int8 latency: " in out
    assert "rise" in out and str(folder / "groups.png") in out


def test_nothing_to_draw(tmp_path):
    with pytest.raises(
        ValueError, match="--plot_only needs.*ratios.csv or rewrites.csv"
    ):
        performance.show_results(SUITES, tmp_path)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({}, "--output_dir is required"),
        ({"output_dir": "a", "convert_only": True}, "--convert_only needs --files_dir"),
    ],
)
def test_flags_that_are_missing(flags, text, monkeypatch):
    values = dict.fromkeys(("output_dir", "files_dir", "plot_only", "convert_only"))
    values = SimpleNamespace(**values | {"suite": []} | flags)
    monkeypatch.setattr(performance.shared, "FLAGS", values)
    with pytest.raises(ValueError, match=text):
        performance.main([])


def test_unknown_suite():
    with pytest.raises(
        ValueError, match="--suite must be among ratios,.*'ratios,speed'"
    ):
        performance.choose(["ratios", "speed"])
    assert list(performance.choose(["sizes", "ratios"])) == ["ratios", "sizes"]
    assert list(performance.choose([])) == list(SUITES)


def test_equal_conversions_share_a_file(tmp_path):
    wanted = [
        Conversion("root_convnet:1", optimize=optimize, side=side, batch_size=size)
        for optimize, side, size in (
            (None, None, 1),
            ("merge_projections", None, 1),
            (None, None, 3),
            (None, 16, 1),
        )
    ]
    plain, same, batch, small = conversions.convert(wanted, tmp_path, 1).values()
    assert plain == same and len({plain.path, batch.path, small.path}) == 3
    assert plain.changes == {} and (plain.side, small.side) == (32, 16)
    model = create_model(
        "root_convnet",
        root=1,
        input_shape=(16, 16, 3),
        include_top=False,
        pooling="avg",
    )
    assert (small.macs, small.params) == (profile(model).macs, profile(model).params)


def test_files_are_kept_and_found_again(tmp_path, monkeypatch):
    wanted = [Conversion("root_convnet:1"), Conversion("root_convnet:1", batch_size=2)]
    found = conversions.convert(wanted[:1], tmp_path, 1)
    moved = tmp_path.rename(f"{tmp_path}-moved")
    said = []
    again = conversions.convert(wanted, moved, 1, said.append)
    assert again[wanted[0]].macs == found[wanted[0]].macs
    assert again[wanted[0]].path == str(
        moved / "root_convnet-1-float32-plain-x1.tflite"
    )
    assert said[-1].startswith("converted 1 of 1 after")
    monkeypatch.setattr(conversions, "convert_network", lambda *_, **__: 1 / 0)
    assert conversions.convert(wanted, moved, 1) == again
    (moved / "root_convnet-1-float32-plain-x1.tflite").unlink()
    assert list(conversions.read_index(moved, wanted)) == wanted[1:]


def test_what_cannot_be_converted_is_left_out(tmp_path):
    models = ("root_convnet:1", "root_convnet:64", "root_none:1")
    grid = Grid(models, quantize=(None,), optimize=(None,))
    suite = Suite("", (grid,), apart=(), calls=1, rounds=1)
    said = []
    converted = performance.convert_suite(suite, tmp_path, 1, said.append)
    assert [key.model for key in converted] == ["root_convnet:1"]
    refused = [line for line in said if line.startswith("cannot convert")]
    assert "Roots that work" in refused[0] and "root_none" in refused[1]
    (row,) = performance_measuring.measure(suite, converted)
    assert row["model"] == "root_convnet:1"
    with pytest.raises(ValueError, match="None of the suite's networks"):
        performance_measuring.measure(suite, {})


def test_runtimes_that_are_not_installed_are_left_out(monkeypatch):
    said = []
    monkeypatch.setattr(performance, "OTHER_RUNTIMES", ("onnxruntime", "no_such"))
    grid = Grid(("root_nin:1",), runtime=("litert", "no_such"))
    suite = Suite("", (grid, dataclasses.replace(grid, runtime=("no_such",))), ())
    trials = performance.possible(suite, said.append).trials()
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
    converted = performance.convert_suite(suite, tmp_path, 1)
    assert [file.path[-6:] for file in converted.values()] == ["tflite", ".keras"]
    compare = performance_measuring.benchmarking.compare

    def refuse(cases, **how):
        if any(case.runtime == "onnxruntime" for case in cases.values()):
            raise ImportError("needs a package")
        return compare(cases, **how)

    monkeypatch.setattr(performance_measuring.benchmarking, "compare", refuse)
    said = []
    (row,) = performance_measuring.measure(suite, converted, said.append)
    assert row["runtime"] == "litert"
    assert "without onnxruntime and openvino: needs a package" in said


@pytest.mark.slow
def test_several_networks_at_once(tmp_path):
    wanted = [Conversion("root_convnet:1"), Conversion("root_convnet:64")]
    said = []
    found = conversions.convert(wanted, tmp_path, 2, said.append)
    assert (tmp_path / "log").exists()
    assert open(found[wanted[0]].path, "rb").read(8)[4:] == b"TFL3"
    assert "Roots that work" in found[wanted[1]]
    assert said[-1].startswith("converted 2 of 2 after")
