"""The tables of experiments, and the command that makes them."""

import json
import types

import pytest

from keras_roots.models import registry
from keras_roots.training import experiment_tables, experiments, recipes
from keras_roots.training.experiment_budget import measure
from keras_roots.training.experiment_rows import Outcome
from keras_roots.training.experiment_stages import Fresh, Trained

ROWS = [
    pytest.param(row, id=f"{name}-{row.name}")
    for name, table in experiments.TABLES.items()
    for row in table.rows
]


@pytest.mark.parametrize("name", experiments.TABLES)
def test_rows_have_names_of_their_own(name):
    names = [row.name for row in experiments.TABLES[name].rows]
    assert len(set(names)) == len(names)
    assert f"  {name} " in experiments.__doc__


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
    pytest.importorskip("matplotlib")
    write_runs(tmp_path, "rootify", {"trained": {"epochs": 3}})
    log = "epoch,val_accuracy\n1,0.5\n2,0.6\n3,0.75\n"
    (tmp_path / "nin-energy" / "trained" / "log.csv").write_text(log)
    table = experiments.TABLES["rootify"]
    lines = {line["row"]: line for line in experiment_tables.lines(table, tmp_path)}
    dense, energy = lines["nin-dense"], lines["nin-energy"]
    assert dense["error_0"] == 0.2
    assert [dense[f"error_{n}"] for n in (1, 3, 10)] == [None] * 3
    assert energy["error_0"] == pytest.approx(0.22)
    assert [energy[f"error_{n}"] for n in (1, 3, 10)] == [0.5, 0.25, None]
    assert (energy["epochs"], energy["start"]) == (3, "energy")
    text = experiment_tables.markdown(table, [energy])
    assert "| `root_nin:1` | energy | 1,002 | 22.00% | 50.00% | 25.00% |  |" in text
    outcomes = [Outcome(row, tmp_path / row.name) for row in table.rows]
    table.draw(outcomes, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_table_of_budgets(tmp_path):
    groups = {"layer_groups": {"a": 8, "b": 4}, "budget": 0.46401, "predicted": 0.464}
    write_runs(tmp_path, "budget", {"grouped": groups, "trained": {"epochs": 2}})
    table = experiments.TABLES["budget"]
    lines = experiment_tables.lines(table, tmp_path)
    names = [row.name for row in table.rows]
    (number,) = [n for n, name in enumerate(names) if name == "nin-8-macs"]
    line = lines[number]
    assert line["layer_groups"] == "8 4"
    assert (line["budget"], line["predicted"], line["epochs"]) == (0.464, 0.464, 2)
    assert line["error"] == pytest.approx(0.2 + 0.01 * number)
    assert line["trained_error"] == pytest.approx(0.1 + 0.01 * number)
    untrained = lines[names.index("nin-4-macs")]
    assert (untrained["trained_error"], untrained["epochs"]) == (None, 0)


def test_latency_is_relative_to_the_dense_network_of_the_same_family(monkeypatch):
    class Time:
        def __init__(self, ms):
            self.median_ms, self.processor = ms, "one"

    times = {"nin-dense": 4.0, "nin-8": 2.0, "net-dense": 1.0, "net-4": 0.75}
    monkeypatch.setattr(
        "keras_roots.benchmarking.compare",
        lambda cases, runs: [Time(times[name]) for name in cases],
    )
    found = measure(dict.fromkeys(times))
    ratios = [each["litert_float32_ratio"] for each in found.values()]
    assert ratios == [1, 0.5, 1, 0.75]


def test_binary(run_python, tmp_path):
    write_runs(tmp_path / "runs" / "budget", "budget", {})
    missing = tmp_path / "runs" / "budget" / "nin-8-macs" / "trained" / "result.json"
    missing.unlink()
    printed = run_python(
        """
import sys
from keras_roots.training import experiments
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
