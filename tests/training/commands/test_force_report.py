import csv

import numpy as np
import pytest

from keras_roots.training.commands import force_report
from keras_roots.training.stages import compression
from keras_roots.training.stages.compression_settings import (
    Decomposition,
    Force,
    Settings,
)
from keras_roots.training.trainer.recipes import Recipe

RECIPE = Recipe(1, 10, 1e-4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Compressions of a small ConvNet: three strengths, of which one is decomposed."""
    import keras_roots

    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 30), ("test", 8)):
        arrays[f"x_{split}"] = rng.integers(0, 255, (count, 8, 8, 3)).astype("uint8")
        arrays[f"y_{split}"] = np.arange(count) % 2
    np.savez(folder / "noise.npz", **arrays)
    model = keras_roots.RootConvNet(classes=2, input_shape=(8, 8, 3))
    for strength, stages in (
        (1.0, ("baseline", "force", "decompose", "finetune")),
        (2.0, ("baseline", "force")),
        (-1.0, ("baseline", "force")),
        (4.0, ("baseline", "force")),
    ):
        settings = Settings(
            dataset=str(folder / "noise.npz"),
            recipes={"force": RECIPE, "finetune": RECIPE},
            force=Force(strength, layers="paper"),
            decomposition=Decomposition(error=0.3, recalibration_images=0),
            holdout=10,
            start={"from": "a.keras", "model": "root_convnet"},
        )
        compression.Compression(
            settings,
            folder / "force" / f"strength{strength:g}",
            lambda dataset: model,
            verbose=False,
            say=[].append,
        ).run(stages)
    return folder / "force"


def test_rows(runs):
    rows = force_report.collect(runs)
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
    text = force_report.render(rows)
    for figure in ("74.48%", "31.00%", "7.97%", "strength4"):
        assert figure in text


def test_the_papers_ratios_are_those_of_its_ranks():
    for row in force_report.reports.paper_rows():
        if row["ranks"]:
            pairs = [map(int, pair.split("/")) for pair in row["ranks"].split()]
            ratio = np.mean([rank / filters for rank, filters in pairs])
            assert row["mean_rank_ratio"] == pytest.approx(ratio, abs=2e-3)


def test_files_and_pictures(runs, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    rows = force_report.collect(runs)
    pictures = force_report.draw(runs, rows, tmp_path)
    names = ["tradeoff", "spectra", "filters", "curves"]
    assert [path.name for path in pictures] == [
        f"{name}-root_convnet.png" for name in names
    ]
    for path in pictures:
        assert path.read_bytes().startswith(b"\x89PNG")

    class Values(dict):
        pass

    Values.runs, Values.output_dir = str(runs), str(tmp_path / "report")
    monkeypatch.setattr(force_report.shared, "FLAGS", Values())
    force_report.main([])
    assert "strength4" in capsys.readouterr().out
    with open(tmp_path / "report" / "force.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(ValueError, match="output directories of keras-roots-compress"):
        force_report.collect(tmp_path)
