"""The tables of experiments, and the command that makes them."""

import json
import types

import pytest

from keras_roots.models import registry
from keras_roots.training.commands import experiments
from keras_roots.training.experiments import frontier, rootify, tables
from keras_roots.training.experiments.budget import measure
from keras_roots.training.stages.experiment_stages import Fresh, Trained
from keras_roots.training.trainer import recipes

ROWS = [
    pytest.param(row, id=f"{name}-{row.name}")
    for name, table in experiments.TABLES.items()
    for row in table.rows
]


@pytest.mark.parametrize("name", experiments.TABLES)
def test_rows_have_names_of_their_own(name):
    names = [row.name for row in experiments.TABLES[name].rows]
    assert len(set(names)) == len(names)
    assert f"\n  {name} " in experiments.__doc__


@pytest.mark.parametrize("row", ROWS)
def test_rows_start_from_released_networks(row):
    weights = row.weights or "cifar10"
    assert row.network in registry.list_models(weights=weights)
    stages = [stage.name for stage in row.stages]
    assert stages == sorted(set(stages), key=stages.index)
    json.dumps(row.labels)


@pytest.mark.parametrize(
    "row", [each for each in experiments.TABLES["rootify"].rows if len(each.stages) > 1]
)
def test_only_networks_from_scratch_have_the_full_rate(row):
    _, training = row.stages
    assert isinstance(training, Trained)
    model = registry.parse_name(row.network)[0]
    full = recipes.get_recipe(model, "cifar10").learning_rate
    scratch = row.weights is None
    assert isinstance(row.stages[0], Fresh) == scratch
    assert training.recipe.learning_rate == (full if scratch else full / 5)
    assert bool(training.recipe.warmup) == scratch
    assert training.recipe.epochs == 10


def write_runs(folder, table, changes):
    """Results as if rows had been run: top-1 falls by .01 from row to row."""
    for index, row in enumerate(experiments.TABLES[table].rows):
        for number, stage in enumerate(row.stages):
            own = folder / row.name / stage.name
            own.mkdir(parents=True)
            top1 = 0.9 - 0.01 * index - 0.1 * (number == 0)
            result = {"top1": top1, "macs": 1000 + index, "params": 10, "images": 100}
            result |= changes.get(stage.name, {})
            (own / "result.json").write_text(json.dumps(result))


def test_table_of_carried_weights(tmp_path):
    write_runs(tmp_path, "rootify", {"trained": {"epochs": 3}})
    log = "epoch,val_accuracy\n1,0.5\n2,0.6\n3,0.75\n"
    (tmp_path / "nin-energy" / "trained" / "log.csv").write_text(log)
    table = experiments.TABLES["rootify"]
    lines = {line["row"]: line for line in tables.lines(table, tmp_path)}
    dense, energy = lines["nin-dense"], lines["nin-energy"]
    assert dense["error_0"] == 0.2
    assert [dense[f"error_{n}"] for n in (1, 3, 10)] == [None] * 3
    assert energy["error_0"] == pytest.approx(0.22)
    assert [energy[f"error_{n}"] for n in (1, 3, 10)] == [0.5, 0.25, None]
    assert (energy["epochs"], energy["start"]) == (3, "energy")
    text = tables.markdown(table, [energy])
    assert "| `root_nin:1` | energy | 1,002 | 22.00% | 50.00% | 25.00% |  |" in text


def test_errors_are_drawn_of_lines_alone(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    figures = []
    monkeypatch.setattr(
        rootify.analysis, "save", lambda figure, path: figures.append(figure)
    )
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "rootify.csv").write_text(
        "row,network,start,error_0,error_1,error_3,error_10\n"
        'nin-dense,root_nin:1,"dense, as it was",0.125,,,\n'
        "nin-energy,root_nin:1,energy,0.5,0.25,,0.2\n"
        "resnet20-scratch,root_resnet20:1,scratch,0.75,,,\n"
    )
    table = experiments.TABLES["rootify"]
    paths = tables.write("rootify", table, tmp_path / "none", tmp_path)
    assert paths[-1].name == "rootify.png"
    (figure,) = figures
    nin, resnet = figure.axes
    assert [axes.get_title() for axes in figure.axes] == [
        "root_nin:1",
        "root_resnet20:1",
    ]
    dense, energy = nin.lines
    assert list(dense.get_ydata()) == [12.5, 12.5]
    assert energy.get_xydata().tolist() == [[0, 50], [1, 25], [10, 20]]
    assert [line.get_xydata().tolist() for line in resnet.lines] == [[[0, 75]]]
    legend = [text.get_text() for text in nin.get_legend().get_texts()]
    assert legend == ["dense", "energy"]


def test_table_of_budgets(tmp_path):
    groups = {"layer_groups": {"a": 8, "b": 4}, "budget": 0.46401, "predicted": 0.464}
    write_runs(tmp_path, "budget", {"grouped": groups, "trained": {"epochs": 2}})
    table = experiments.TABLES["budget"]
    lines = tables.lines(table, tmp_path)
    names = [row.name for row in table.rows]
    (number,) = [n for n, name in enumerate(names) if name == "nin-8-macs"]
    line = lines[number]
    assert line["layer_groups"] == "8 4"
    assert (line["budget"], line["predicted"], line["epochs"]) == (0.464, 0.464, 2)
    assert line["error"] == pytest.approx(0.2 + 0.01 * number)
    assert line["trained_error"] == pytest.approx(0.1 + 0.01 * number)
    untrained = lines[names.index("nin-4-macs")]
    assert (untrained["trained_error"], untrained["epochs"]) == (None, 0)


def test_table_of_1x1s(tmp_path):
    ranks = {"mean_rank_ratio": 0.33333, "epochs": 0}
    table = experiments.TABLES["pointwise"]
    write_runs(
        tmp_path,
        "pointwise",
        {"low_rank": ranks, **dict.fromkeys(("before", "trained"), {"epochs": 3})},
    )
    lines = {line["row"]: line for line in tables.lines(table, tmp_path)}
    whole, low, longer = (lines[name] for name in ("whole", "0.7", "0.7-training"))
    assert (whole["error"], whole["trained_error"], whole["epochs"]) == (0.2, None, 0)
    assert whole["mean_rank_ratio"] is None
    assert (low["part"], low["before"], low["mean_rank_ratio"]) == (0.7, "none", 0.3333)
    number = list(lines).index("0.7")
    assert low["error"] == pytest.approx(0.2 + 0.01 * number)
    assert low["trained_error"] == pytest.approx(0.1 + 0.01 * number)
    assert (low["epochs"], longer["epochs"]) == (3, 6)
    # The error right after decomposing, not that after the training before it.
    assert longer["error"] == longer["trained_error"]
    (tmp_path / "0.7-force" / "trained" / "result.json").unlink()
    (tmp_path / "0.7-force" / "low_rank" / "result.json").unlink()
    forced = tables.lines(table, tmp_path)[-1]
    assert (forced["error"], forced["trained_error"]) == (None, None)
    assert forced["macs"] == 1005


def test_1x1s_are_decomposed_with_the_same_epochs_before():
    rows = {row.name: row for row in experiments.TABLES["pointwise"].rows}
    force, training = (rows[f"0.7-{name}"].stages for name in ("force", "training"))
    assert force[1:] == training[1:]
    assert force[0].recipe == training[0].recipe
    assert {stage.layers for stage in force[:2]} == {"pointwise"}


def frontier_files(models, dataset):
    """The more names before it, the faster and the worse; the second in both worse."""
    lines = {}
    for index, name in enumerate(models):
        ms = 10.0 if index == 1 else 8.0 / 2**index
        for form, factor in (("litert_float32", 1), ("litert_int8", 0.3)):
            columns = {
                "ms": ms * factor,
                "ratio": ms * factor / 8,
                "error": 0.1 + 0.01 * index + 0.1 * (factor < 1),
                "zlib_bytes": 1234 + len(dataset),
            }
            line = {f"{form}_{key}": value for key, value in columns.items()}
            lines.setdefault(name, {}).update(line)
    return lines


def test_table_of_the_frontier(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(frontier.evaluation, "measure_files", frontier_files)
    table = experiments.TABLES["frontier"]
    changes = {"trained": {"epochs": 3}, "retrained": {"epochs": 3}}
    write_runs(tmp_path, "frontier", changes | {"pruned": {"zeros": 0.5}})
    measured = table.measure({row.name: None for row in table.rows}, "some data")
    assert set(measured) == {row.name for row in table.rows}
    (tmp_path / "measured.json").write_text(json.dumps(measured))
    lines = {line["row"]: line for line in tables.lines(table, tmp_path)}
    for short in ("nin", "resnet20"):
        rows = [line for name, line in lines.items() if name.startswith(f"{short}-")]
        choices = [row["choice"] for row in rows]
        assert choices[:2] == ["dense", "root"]
        marks = [row["on_frontier"] for row in rows]
        # The third and fourth in float32 are at 2 and 1 ms, the first in int8 at 2.4.
        assert marks[:4] == ["float32", "", "float32", "float32"]
        assert marks[-1] == "float32 int8"
        assert rows[0]["litert_float32_ratio"] == 1
    pruned = lines["nin-root-force-rank-pruned"]
    assert (pruned["zeros"], lines["nin-dense"]["zeros"]) == (0.5, 0)
    assert pruned["epochs"] == 6
    text = tables.markdown(table, [lines["nin-dense"]])
    assert "| `root_nin:1` | dense | 1,000 | 0 | 10.00% | 1.00 | 1,243 |" in text
    *_, picture = tables.write("frontier", table, tmp_path, tmp_path)
    drawn = picture.read_bytes()
    assert len(drawn) > 10_000
    # The same of the CSV file alone.
    *_, again = tables.write("frontier", table, tmp_path / "none", tmp_path)
    assert again == picture
    assert again.read_bytes() == drawn


@pytest.mark.parametrize("network", frontier.NETWORKS, ids=lambda n: n.short)
def test_the_frontier_adds_one_thing_after_the_other(network):
    rows = {
        row.labels["choice"]: row.stages
        for row in experiments.TABLES["frontier"].rows
        if row.labels["network"] == f"{network.model}:1"
    }
    assert rows["force + rank"][1:] == rows["rank"]
    together, pruned = rows["root + force + rank"], rows["root + force + rank + pruned"]
    assert pruned[: len(together)] == together
    assert [stage for stage in together if stage.name != "forced"] == [
        *rows["root + rank"]
    ]
    for stages in rows.values():
        for stage in stages:
            if isinstance(stage, Trained):
                assert stage.recipe.epochs == network.epochs


def test_latency_is_relative_to_the_dense_network_of_the_same_family(monkeypatch):
    class Time:
        def __init__(self, ms):
            self.median_ms, self.processor = ms, "one"

    times = {"nin-dense": 4.0, "nin-8": 2.0, "net-dense": 1.0, "net-4": 0.75}
    monkeypatch.setattr(
        "keras_roots.benchmarking.compare",
        lambda cases, runs: [Time(times[name]) for name in cases],
    )
    found = measure(dict.fromkeys(times), None)
    ratios = [each["litert_float32_ratio"] for each in found.values()]
    assert ratios == [1, 0.5, 1, 0.75]


def test_binary(run_python, tmp_path):
    write_runs(tmp_path / "runs" / "budget", "budget", {})
    missing = tmp_path / "runs" / "budget" / "nin-8-macs" / "trained" / "result.json"
    missing.unlink()
    printed = run_python(
        """
import sys
from keras_roots.training.commands import experiments
sys.argv = ["experiments", "--table=budget", "--render"]
sys.argv += ["--runs=runs", "--output_dir=results"]
experiments.run()
"""
    )
    text = (tmp_path / "results" / "experiments" / "budget.md").read_text()
    assert text in printed
    assert "missing: nin-8-macs: trained\n" in printed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": None}, "--runs and --output_dir are required"),
        ({"only": "nothing"}, "`only` must match the whole name of a row: nin-dense"),
        ({}, "`runs` must be a folder with rows that are done"),
    ],
)
def test_flags_that_are_impossible(changes, message, tmp_path, monkeypatch):
    values = {"table": ["budget"], "runs": str(tmp_path), "output_dir": str(tmp_path)}
    values |= {"only": None, "render": True, **changes}
    flags = types.SimpleNamespace(FLAGS=types.SimpleNamespace(**values))
    monkeypatch.setattr(experiments, "shared", flags)
    with pytest.raises(ValueError, match=message):
        experiments.main([])
