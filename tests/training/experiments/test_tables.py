"""Tables of experiments: rows that are run, and lines that are written."""

import csv
import dataclasses
import json

import helpers
import pytest
from small_stages import Biased

from keras_roots.training import networks
from keras_roots.training.experiments import tables
from keras_roots.training.experiments.rows import Row
from keras_roots.training.experiments.tables import Table
from keras_roots.training.stages import Context


@pytest.fixture
def context(tmp_path):
    return Context(helpers.noise(6, 4, 2), tmp_path, say=lambda line: None)


@pytest.fixture(autouse=True)
def start(monkeypatch):
    """Small networks in place of the zoo's."""
    monkeypatch.setattr(networks.Zoo, "start", lambda zoo, dataset: helpers.scores())


def row(name="a", first=1.0, second=2.0):
    stages = (
        Biased("first", first),
        Biased("second", second, long=True),
    )
    return Row(name, "root_nin:8:tree", "cifar10", stages, {"label": name.upper()})


def biases(model):
    return model.layers[-1].get_weights()[1].tolist()


def run(table, context, folder, only=None, epochs=None):
    tables.run(table, dataclasses.replace(context, folder=folder), only, epochs)


def table(**fields):
    def columns(outcome):
        return {"added": outcome.last()["added"], "more": None}

    shown = {
        "label": ("name", "`{}`"),
        "added": ("bias", "{:.1f}"),
        "more": ("x", "{}"),
    }
    return Table((row("a"), row("b", first=5.0)), columns, shown, **fields)


def test_tables_of_rows(context, tmp_path):
    runs = tmp_path / "runs"
    with pytest.raises(ValueError, match="`runs` must be.*Received: nothing in"):
        tables.write("name", table(), runs, tmp_path)
    run(table(), context, runs, "b", 0)
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


def test_lines_of_another_machine_stay(context, tmp_path):
    for runs, only in (("one", "b"), ("two", "a")):
        run(table(), context, tmp_path / runs, only)
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


def test_what_is_done_here_replaces_its_line(context, tmp_path):
    write_earlier(
        tmp_path,
        "row,label,added,ms,hardware\n"
        "b,B,9.5,4,there\n"
        "gone,G,8.5,5,there\n"
        "a,A,7.5,6,there\n",
    )
    runs = tmp_path / "runs"
    run(table(), context, runs, "b", 0)
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


def test_pictures_are_drawn_of_lines(context, tmp_path):
    pytest.importorskip("matplotlib")
    drawn = []
    drawing = table(draw=lambda lines, path: drawn.append((lines, path)))
    for runs, only in (("one", "b"), ("two", "a")):
        run(drawing, context, tmp_path / runs, only)
        paths = tables.write("n", drawing, tmp_path / runs, tmp_path)
        assert paths[-1] == drawn[-1][1] == tmp_path / "experiments" / "n.png"
    names = [[(line["row"], line["added"]) for line in lines] for lines, _ in drawn]
    assert names == [[("b", 2.0)], [("a", 2.0), ("b", 2.0)]]


def test_pictures_wait_for_what_they_show(context, tmp_path):
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

    run(drawing, context, tmp_path / "runs", "b")
    assert pictures("runs") == drawn == []
    run(drawing, context, tmp_path / "runs", "a")
    assert pictures("runs") == ["n.png"]
    assert pictures("none") == ["n.png"]
    assert drawn == [[3, 3]] * 2
    # A row that is run anew has to be measured with the others first.
    run(drawing, context, tmp_path / "other", "b")
    assert pictures("other") == []


def test_networks_are_measured_together_once_all_are_done(context, tmp_path):
    calls = []

    def measure(models, dataset):
        assert dataset is context.dataset
        calls.append({name: biases(model)[0] for name, model in models.items()})
        return {name: {"ms": 2 * value} for name, value in calls[-1].items()}

    measuring = table(measure=measure)
    run(measuring, context, tmp_path, "a")
    assert not calls
    for _ in range(2):
        run(measuring, context, tmp_path)
        assert calls == [{"a": 3, "b": 7}]
    found = [line["ms"] for line in tables.lines(measuring, tmp_path)]
    assert found == [6, 14]
    (tmp_path / "measured.json").write_text(json.dumps({"a": {"ms": 1}}))
    run(measuring, context, tmp_path)
    assert len(calls) == 2


def measuring(calls):
    """A table of networks that stand for themselves, which are measured by name."""

    def measure(models, dataset):
        calls.append(list(models))
        return {name: {"ms": len(calls)} for name in models}

    return table(measure=measure, of_networks=lambda names, dataset: None)


def test_networks_that_stand_for_themselves(context, tmp_path):
    """They are measured as they are done, and lines of others stay."""
    write_earlier(tmp_path, "row,label,ms\nother,O,7\na,A,8\n")
    calls = []
    own = measuring(calls)
    tables.write("n", own, tmp_path / "none", tmp_path)
    assert list(read_lines(tmp_path)) == ["a", "other"]
    runs = tmp_path / "runs"
    run(own, context, runs, "b", 0)
    assert not calls
    for _ in range(2):
        run(own, context, runs, "b")
    run(own, context, runs)
    assert calls == [["b"], ["a", "b"]]
    where = dataclasses.replace(context, folder=runs)
    tables.measure(own, where)
    assert len(calls) == 2
    tables.measure(own, where, again=True)
    assert calls[2:] == [["a", "b"]]
    tables.write("n", own, runs, tmp_path)
    times = {name: line["ms"] for name, line in read_lines(tmp_path).items()}
    assert times == {"a": "3", "b": "3", "other": "7"}


def test_rows_that_are_refused_are_not_missing(context, tmp_path):
    calls = []
    runs = tmp_path / "runs"
    run(measuring(calls), context, runs, "b")
    (runs / "a").mkdir()
    (runs / "a" / "refused.txt").write_text("`budget` cannot be met\n")
    assert tables.missing(measuring(calls), runs) == []
    run(measuring(calls), context, runs)
    assert calls == [["b"]]


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
