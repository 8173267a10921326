"""The command that makes the tables of experiments."""

import json

import helpers
import pytest

from keras_roots.models import list_models
from keras_roots.training.commands import experiments, flags
from keras_roots.training.experiments import TABLES
from keras_roots.training.stages import stage

ROWS = [
    pytest.param(row, id=f"{name}-{row.name}")
    for name, table in TABLES.items()
    for row in table.rows
]


@pytest.mark.parametrize("name", TABLES)
def test_rows_have_names_of_their_own(name):
    names = [row.name for row in TABLES[name].rows]
    assert len(set(names)) == len(names)
    assert f"\n  {name} " in experiments.__doc__


@pytest.mark.parametrize("row", ROWS)
def test_rows_start_from_released_networks(row):
    weights = row.weights or "cifar10"
    assert row.network in list_models(weights=weights)
    stages = [each.name for each in row.stages]
    assert stages == sorted(set(stages), key=stages.index)
    json.dumps(row.labels)
    for each in row.stages:
        each.check()
        json.dumps(stage.describe(each))


def test_binary(run_command, tmp_path):
    helpers.write_runs(
        tmp_path / "runs" / "pointwise",
        TABLES["pointwise"],
        {"decompose": {"mean_rank_ratio": 0.5}},
    )
    missing = tmp_path / "runs" / "pointwise" / "0.7" / "trained" / "result.json"
    missing.unlink()
    printed = run_command(
        experiments.run,
        *("--table=pointwise", "--render", "--runs=runs", "--output_dir=results"),
    ).stdout
    text = (tmp_path / "results" / "experiments" / "pointwise.md").read_text()
    assert text in printed
    assert "missing: 0.7: trained\n" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output_dir=out"], "--runs and --output_dir are required"),
        (
            ["--only=nothing", "--runs=r", "--output_dir=out"],
            "`only` must match the whole name of a row: whole",
        ),
        (
            ["--render", "--runs=r", "--output_dir=out"],
            "`runs` must be a folder with rows that are done",
        ),
        (
            ["--networks=root_nin:1", "--runs=r", "--output_dir=out"],
            r"`networks` needs `table` to be of \['distillation'\].*'pointwise'",
        ),
        (
            ["--render", "--measure", "--runs=r", "--output_dir=out"],
            "Give --render or --measure, not both",
        ),
    ],
)
def test_flags_that_are_impossible(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = flags.parse(experiments.run.classes, ["--table=pointwise", *arguments])
    with pytest.raises(ValueError, match=message):
        experiments.main(given)


def test_networks_of_the_user(tmp_path, monkeypatch):
    """A table of a file is run, and measured again without being run."""
    pytest.importorskip("ai_edge_litert")
    monkeypatch.chdir(tmp_path)
    helpers.convolutions().save("own.keras")
    helpers.colours("colours.npz", train=80)
    arguments = ["--table=distillation", "--networks=own.keras", "--only=own"]
    arguments += ["--dataset=colours.npz", "--runs=r", "--output_dir=out"]
    path = tmp_path / "out" / "experiments" / "distillation.csv"

    def lines(*more):
        given = flags.parse(experiments.run.classes, [*arguments, *more])
        experiments.main(given)
        return helpers.read_rows(path)

    (line,) = lines()
    assert (line["row"], line["network"], line["images"]) == ("own", "own", "12")
    header, own = path.read_text().splitlines()
    path.write_text(f"{header}\n{own}\n{own.replace('own', 'nin')}\n")
    result = tmp_path / "r" / "distillation" / "own" / "baseline" / "result.json"
    before, measured = result.stat().st_mtime_ns, tmp_path / "r/distillation"
    (measured / "measured.json").write_text('{"own": {"float32_ms": -1}}')
    assert lines()[0]["float32_ms"] == "-1"
    again, other = lines("--measure")
    assert float(again["float32_ms"]) > 0
    assert (other["row"], other["error"]) == ("nin", line["error"])
    assert result.stat().st_mtime_ns == before
