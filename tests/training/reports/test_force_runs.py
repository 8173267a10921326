"""Tables and pictures of compressions with forces."""

from pathlib import Path

import numpy as np
import pytest

import keras_roots
from keras_roots.training import stages
from keras_roots.training.commands import force_report
from keras_roots.training.data import open_dataset
from keras_roots.training.reports import force_runs
from keras_roots.training.reports.coordinating_filters import paper_rows
from keras_roots.training.trainer import Recipe
from keras_roots.utils import read_csv

RESULTS = Path(__file__).parents[3] / "zoo" / "results" / "force"
RECIPE = Recipe(1, 10, 1e-4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Compressions of a small ConvNet: four strengths, of which one is decomposed."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 30), ("test", 8)):
        arrays[f"x_{split}"] = rng.integers(0, 255, (count, 8, 8, 3)).astype("uint8")
        arrays[f"y_{split}"] = np.arange(count) % 2
    np.savez(folder / "noise.npz", **arrays)
    dataset = open_dataset(str(folder / "noise.npz"), holdout=10)
    model = keras_roots.RootConvNet(classes=2, input_shape=(8, 8, 3))
    start = {"from": "a.keras", "model": "root_convnet", "weights": None}
    how = stages.Decomposition(error=0.3, recalibration_images=0)
    cheaper = [
        stages.Decompose(settings=how),
        stages.FineTune(recipe=RECIPE, settings=stages.FineTuning(distillation=0.0)),
    ]
    for strength in (1.0, 2.0, -1.0, 4.0):
        forces = stages.Forces(strength, layers="paper")
        force = stages.Force(recipe=RECIPE, forces=forces, family="root_convnet")
        stages.run(
            [stages.Keep("baseline"), force, *(cheaper if strength == 1 else [])],
            stages.Context(
                dataset,
                folder / "force" / f"strength{strength:g}",
                verbose=False,
                say=[].append,
            ),
            lambda: model,
            {"start": start},
        )
    return folder / "force"


def test_rows(runs):
    rows = force_runs.collect(runs)
    assert [row["run"] for row in rows] == [
        "baseline",
        "strength-1",
        "strength1",
        "strength2",
        "strength4",
    ]
    baseline, _, decomposed, *_ = rows
    assert (baseline["norm"], baseline["strength"]) == ("none", 0)
    ratios = [
        int(m) / int(n) for m, n in (r.split("/") for r in baseline["ranks"].split())
    ]
    assert len(ratios) == 3
    assert baseline["mean_rank_ratio"] == pytest.approx(np.mean(ratios), abs=1e-4)
    assert decomposed["macs_after"] < decomposed["macs"]
    assert 0 <= decomposed["finetuned_error"] <= 1
    assert "macs_after" not in rows[-1]
    text = force_runs.render(rows)
    for figure in ("74.48%", "31.00%", "7.97%", "strength4"):
        assert figure in text


def test_the_papers_ratios_are_those_of_its_ranks():
    for row in paper_rows():
        if row["ranks"]:
            pairs = [map(int, pair.split("/")) for pair in row["ranks"].split()]
            ratio = np.mean([rank / filters for rank, filters in pairs])
            assert row["mean_rank_ratio"] == pytest.approx(ratio, abs=2e-3)


def test_files_and_pictures(runs, tmp_path):
    pytest.importorskip("matplotlib")
    rows = force_runs.collect(runs)
    pictures = force_runs.draw(runs, rows, tmp_path)
    names = ["tradeoff", "spectra", "filters", "curves"]
    assert [path.name for path in pictures] == [
        f"{name}-root_convnet.png" for name in names
    ]
    for path in pictures:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_command_writes_the_table(runs, tmp_path, capsys):
    folders = force_report.Folders(str(runs), str(tmp_path / "report"))
    force_report.main({force_report.Folders: folders})
    assert "strength4" in capsys.readouterr().out
    rows, committed = (
        read_csv(folder / "force.csv") for folder in (tmp_path / "report", RESULTS)
    )
    assert len(rows) == len(force_runs.collect(runs))
    assert list(rows[0]) == list(committed[0])
    assert len(list((tmp_path / "report").glob("*.png"))) == 4


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(ValueError, match="output directories of keras-roots-compress"):
        force_runs.collect(tmp_path)
