"""Rows of experiments, run stage by stage, and their tables."""

import csv
import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_roots.training import networks
from keras_roots.training.data import datasets
from keras_roots.training.experiments import tables
from keras_roots.training.experiments.tables import Table
from keras_roots.training.stages import experiment_rows
from keras_roots.training.stages.experiment_rows import (
    Bench,
    Outcome,
    Row,
    Stage,
    run_row,
)


@dataclasses.dataclass(frozen=True)
class Biased(Stage):
    """Adds to the biases of the network, and counts how often it is run."""

    bias: float = 1.0
    long: bool = False

    def run(self, model, folder, bench):
        bench.say(f"run {self.name}")
        if self.bias < 0:
            raise ValueError("negative")
        kernel, bias = model.layers[-1].get_weights()
        model.layers[-1].set_weights([kernel, bias + self.bias])
        return model, {"added": self.bias}

    def lasting(self, epochs):
        if not self.long:
            return self
        return dataclasses.replace(self, bias=float(epochs)) if epochs else None


@pytest.fixture
def said():
    return []


@pytest.fixture
def bench(said):
    rng = np.random.default_rng(0)
    split = datasets.Arrays(
        rng.integers(0, 256, (6, 4, 4, 3)).astype("uint8"), np.arange(6) % 2
    )
    dataset = datasets.Dataset("noise", ("a", "b"), split, split, split, 4)
    return Bench(dataset, say=said.append)


@pytest.fixture(autouse=True)
def start(monkeypatch):
    """Small networks in place of the zoo's; returns what they were asked by."""
    asked = []

    def start(zoo, dataset):
        asked.append(zoo)
        return keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                keras.layers.Flatten(),
                keras.layers.Dense(2, name="scores"),
            ]
        )

    monkeypatch.setattr(experiment_rows.networks.Zoo, "start", start)
    return asked


def row(name="a", first=1.0, second=2.0):
    stages = (Biased("first", first), Biased("second", second, long=True))
    return Row(name, "root_nin:8:tree", "cifar10", stages, {"label": name.upper()})


def biases(model):
    return model.layers[-1].get_weights()[1].tolist()


def test_each_stage_takes_the_model_of_the_one_before(bench, start, tmp_path, said):
    run_row(row(), tmp_path / "a", bench)
    arguments = {"model": "root_nin", "root": 8, "topology": "tree"}
    expected = networks.Zoo(**arguments, weights="cifar10")
    assert start == [expected]
    outcome = Outcome(row(), tmp_path / "a")
    assert biases(outcome.model("first")) == [1, 1]
    assert biases(outcome.model("second")) == [3, 3]
    assert outcome.missing == []
    assert outcome.last() == outcome.result("second")
    assert outcome.result("second")["added"] == 2
    assert 0 <= outcome.result("first")["top1"] <= 1
    assert [line for line in said if line.startswith("run")] == [
        "run first",
        "run second",
    ]


def test_what_is_done_is_not_run_again_and_goes_on(bench, start, tmp_path, said):
    short = dataclasses.replace(bench, epochs=0)
    run_row(row(), tmp_path / "a", short)
    outcome = Outcome(row(), tmp_path / "a")
    assert outcome.missing == ["second"]
    assert outcome.last()["added"] == 1
    said.clear()
    run_row(row(), tmp_path / "a", dataclasses.replace(bench, epochs=5))
    assert said[:2] == ["a, first: done already", "a, second: starts"]
    assert biases(outcome.model("second")) == [6, 6]
    assert len(start) == 1
    with pytest.raises(ValueError, match=r"another configuration.*second"):
        run_row(row(), tmp_path / "a", bench)


def test_other_settings_of_a_stage_before_are_refused(bench, tmp_path):
    run_row(row(), tmp_path / "a", bench)
    with pytest.raises(ValueError, match=r"another configuration.*first"):
        run_row(row(first=4.0), tmp_path / "a", bench)


def test_nothing_is_shared_with_a_damaged_row(bench, tmp_path, said):
    bench = dataclasses.replace(bench, runs=tmp_path)
    run_row(row("a"), tmp_path / "table" / "a", bench)
    (tmp_path / "table" / "a" / "first" / "config.json").write_text('{"row"')
    said.clear()
    run_row(row("b"), tmp_path / "table" / "b", bench)
    assert said[0] == "b, first: starts"


def test_rows_share_what_they_have_in_common(bench, start, tmp_path, said):
    bench = dataclasses.replace(bench, runs=tmp_path)
    run_row(row("a"), tmp_path / "table" / "a", bench)
    said.clear()
    run_row(row("b", second=7.0), tmp_path / "other" / "b", bench)
    outcome = Outcome(row("b"), tmp_path / "other" / "b")
    assert said[0] == "b, first: done already, for a"
    assert "run first" not in said
    assert len(start) == 1
    assert biases(outcome.model("second")) == [8, 8]
    assert outcome.result("first") == Outcome(row(), tmp_path / "table" / "a").result(
        "first"
    )


@dataclasses.dataclass(frozen=True)
class Twice(Biased):
    """Has the settings of `Biased`, and does something else."""

    def run(self, model, folder, bench):
        return super().run(super().run(model, folder, bench)[0], folder, bench)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": None},
        {"network": "root_nin:4"},
        {"stages": (Biased("first", 2.0), Biased("second", 2.0, long=True))},
        {"stages": (Twice("first"), Biased("second", 2.0, long=True))},
    ],
    ids=["weights", "network", "settings", "kind"],
)
def test_rows_share_nothing_else(changes, bench, tmp_path, said):
    bench = dataclasses.replace(bench, runs=tmp_path)
    run_row(row("a"), tmp_path / "table" / "a", bench)
    said.clear()
    other = dataclasses.replace(row("b"), **changes)
    run_row(other, tmp_path / "table" / "b", bench)
    assert said[0] == "b, first: starts"
    assert not [line for line in said if "for a" in line]


def test_a_stage_that_is_impossible_leaves_its_folder_free(bench, tmp_path):
    with pytest.raises(ValueError, match="negative"):
        run_row(row(second=-1.0), tmp_path / "a", bench)
    run_row(row(second=3.0), tmp_path / "a", bench)
    assert biases(Outcome(row(), tmp_path / "a").model("second")) == [4, 4]


def table(**fields):
    def columns(outcome):
        return {"added": outcome.last()["added"], "more": None}

    shown = {
        "label": ("name", "`{}`"),
        "added": ("bias", "{:.1f}"),
        "more": ("x", "{}"),
    }
    return Table((row("a"), row("b", first=5.0)), columns, shown, **fields)


def test_tables_of_rows(bench, tmp_path):
    runs = tmp_path / "runs"
    with pytest.raises(ValueError, match="`runs` must be.*Received: nothing in"):
        tables.write("name", table(), runs, tmp_path)
    tables.run(table(), runs, dataclasses.replace(bench, epochs=0), "b")
    assert tables.missing(table(), runs) == ["a: first, second", "b: second"]
    paths = tables.write("name", table(), runs, tmp_path)
    assert [path.name for path in paths] == ["name.csv", "name.md"]
    with open(tmp_path / "experiments" / "name.csv", newline="") as file:
        (line,) = csv.DictReader(file)
    assert {name: line[name] for name in ("row", "label", "added", "more")} == {
        "row": "b",
        "label": "B",
        "added": "5.0",
        "more": "",
    }
    assert line["hardware"] and line["versions"] and line["date"]
    assert paths[1].read_text() == (
        "| name | bias | x |\n| --- | --- | --- |\n| `B` | 5.0 |  |\n"
    )


def read_lines(folder):
    with open(folder / "experiments" / "n.csv", newline="") as file:
        return {line["row"]: line for line in csv.DictReader(file)}


def test_lines_of_another_machine_stay(bench, tmp_path):
    for runs, only in (("one", "b"), ("two", "a")):
        tables.run(table(), tmp_path / runs, bench, only)
        tables.write("n", table(), tmp_path / runs, tmp_path)
    lines = read_lines(tmp_path)
    assert list(lines) == ["a", "b"]  # in the order of the table
    assert (lines["a"]["added"], lines["b"]["added"]) == ("2.0", "2.0")
    assert lines["b"]["label"] == "B"
    assert lines["b"]["hardware"] == lines["a"]["hardware"] != ""
    text = (tmp_path / "experiments" / "n.md").read_text()
    assert text.endswith("| `A` | 2.0 |  |\n| `B` | 2.0 |  |\n")
    # Nothing is done here: the table stays as it is.
    before = (tmp_path / "experiments" / "n.csv").read_bytes()
    tables.write("n", table(), tmp_path / "none", tmp_path)
    assert (tmp_path / "experiments" / "n.csv").read_bytes() == before


def write_earlier(folder, text):
    path = folder / "experiments" / "n.csv"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_what_is_done_here_replaces_its_line(bench, tmp_path):
    write_earlier(
        tmp_path,
        "row,label,added,ms,hardware\n"
        "b,B,9.5,4,there\n"
        "gone,G,8.5,5,there\n"
        "a,A,7.5,6,there\n",
    )
    runs = tmp_path / "runs"
    tables.run(table(), runs, dataclasses.replace(bench, epochs=0), "b")
    tables.write("n", table(), runs, tmp_path)
    lines = read_lines(tmp_path)
    assert list(lines) == ["a", "b"]
    kept = {name: lines["a"][name] for name in ("added", "ms", "hardware")}
    assert kept == {"added": "7.5", "ms": "6", "hardware": "there"}
    # One stage of it is done, and nothing measured.
    assert (lines["b"]["added"], lines["b"]["ms"]) == ("5.0", "")
    assert lines["b"]["hardware"] not in ("", "there")


def test_names_of_rows_that_look_like_numbers(tmp_path):
    path = write_earlier(tmp_path, "row,label,added\n0.70,x,1.5\n0.7,y,2.5\n")
    numbered = Table((row("0.70"),), dict, {"added": ("bias", "{:.2f}")})
    tables.write("n", numbered, tmp_path / "none", tmp_path)
    assert path.read_text() == "row,label,added\n0.70,x,1.5\n"
    assert path.with_suffix(".md").read_text().endswith("| 1.50 |\n")


def test_a_file_that_is_no_such_table_has_no_lines(tmp_path):
    path = write_earlier(tmp_path, "name,label\na,A\n")
    with pytest.raises(ValueError, match="`runs` must be"):
        tables.write("n", table(), tmp_path / "none", tmp_path)
    assert path.read_text() == "name,label\na,A\n"


def test_pictures_are_drawn_of_lines(bench, tmp_path):
    pytest.importorskip("matplotlib")
    drawn = []
    drawing = table(draw=lambda lines, path: drawn.append((lines, path)))
    for runs, only in (("one", "b"), ("two", "a")):
        tables.run(drawing, tmp_path / runs, bench, only)
        paths = tables.write("n", drawing, tmp_path / runs, tmp_path)
        assert paths[-1] == drawn[-1][1] == tmp_path / "experiments" / "n.png"
    names = [[(line["row"], line["added"]) for line in lines] for lines, _ in drawn]
    assert names == [[("b", 2.0)], [("a", 2.0), ("b", 2.0)]]


def test_pictures_wait_for_what_they_show(bench, tmp_path):
    pytest.importorskip("matplotlib")
    drawn = []
    drawing = table(
        draw=lambda lines, path: drawn.append([line["ms"] for line in lines]),
        drawn=("ms",),
        measure=lambda models, dataset: {name: {"ms": 3} for name in models},
    )

    def pictures(folder):
        paths = tables.write("n", drawing, tmp_path / folder, tmp_path)
        return [path.name for path in paths if path.suffix == ".png"]

    tables.run(drawing, tmp_path / "runs", bench, "b")
    assert pictures("runs") == drawn == []
    tables.run(drawing, tmp_path / "runs", bench, "a")
    assert pictures("runs") == ["n.png"]
    assert pictures("none") == ["n.png"]
    assert drawn == [[3, 3]] * 2
    # A row that is run anew has to be measured with the others first.
    tables.run(drawing, tmp_path / "other", bench, "b")
    assert pictures("other") == []


def test_networks_are_measured_together_once_all_are_done(bench, tmp_path):
    calls = []

    def measure(models, dataset):
        assert dataset is bench.dataset
        calls.append({name: biases(model)[0] for name, model in models.items()})
        return {name: {"ms": 2 * value} for name, value in calls[-1].items()}

    measuring = table(measure=measure)
    tables.run(measuring, tmp_path, bench, "a")
    assert not calls
    for _ in range(2):
        tables.run(measuring, tmp_path, bench)
        assert calls == [{"a": 3, "b": 7}]
    found = [line["ms"] for line in tables.lines(measuring, tmp_path)]
    assert found == [6, 14]
    (tmp_path / "measured.json").write_text(json.dumps({"a": {"ms": 1}}))
    tables.run(measuring, tmp_path, bench)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("only", "names"), [(None, ["a", "b"]), ("b", ["b"]), (".", ["a", "b"])]
)
def test_rows_by_name(only, names):
    assert [r.name for r in tables.chosen_rows(table(), only)] == names


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("bb", "`only` must match the whole name of a row: a, b. Received: only='bb'"),
        ("(", "`only` must be a regular expression. Received: only='\\('"),
    ],
)
def test_no_row_by_name(only, message):
    with pytest.raises(ValueError, match=message):
        tables.chosen_rows(table(), only)
