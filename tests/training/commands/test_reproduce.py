"""The command that prints the papers' tables."""

import copy

import pytest

from keras_roots.training import data, reports
from keras_roots.training.commands import reproduce
from keras_roots.training.commands.reproduce import Reproduction
from keras_roots.training.reports import paper_counts


@pytest.mark.parametrize(("change", "ending"), [(0, ""), (1, "error: 1 rows differ")])
def test_binary(run_command, monkeypatch, change, ending):
    tables = copy.deepcopy(paper_counts.tables())
    rows = tables["nin"]["rows"]
    del rows[2:]
    rows[1]["macs"] += change
    monkeypatch.setattr(paper_counts, "tables", lambda: tables)
    done = run_command(reproduce.run, "--table=nin")
    assert done.returncode == change
    matching = f"{2 - change} of 2 rows match the corrected counts.\n"
    assert done.stdout.endswith(matching)
    assert ending in done.stderr


def test_results_that_there_are_not(run_command):
    done = run_command(reproduce.run, "--results=table9,figure5", "--output_dir=new")
    assert done.returncode == 1
    text = "`results` must be of ('table2', 'figure5', 'figure6', 'table1')"
    assert text in done.stderr
    assert done.stderr.endswith("Received: results=('table9', 'figure5')\n")


def test_results_need_a_folder():
    for asked in ({"results": ("figure5",)}, {"all": True}):
        with pytest.raises(ValueError, match="`output_dir` is required"):
            Reproduction(**asked)


def test_everything_is_counted_and_measured_in_order(
    run_command, monkeypatch, tmp_path
):
    steps = []

    def step(name):
        return lambda conditions: steps.append((name, conditions.runs)) or []

    monkeypatch.setattr(reports, "print_tables", lambda *asked: steps.append(asked))
    monkeypatch.setattr(data, "open_dataset", lambda *where: steps.append(where))
    for name in reproduce.RESULTS:
        monkeypatch.setitem(reproduce.RESULTS, name, step(name))
    done = run_command(reproduce.run, "--all", "--output_dir=new/results", "--runs=7")
    assert done.returncode == 0, done.stderr
    assert steps == [
        (list(reports.tables()), "new/results/counts.csv"),
        ("cifar10", None),
        ("table2", 7),
        ("figure5", 7),
        ("figure6", 7),
        ("table1", 7),
    ]
    assert (tmp_path / "new" / "results").is_dir()
