"""The table of carried-over weights."""

import helpers
import pytest

from keras_roots.models import NetworkName
from keras_roots.training.experiments import rootify, tables
from keras_roots.training.stages import Fresh, Train
from keras_roots.training.trainer import get_recipe

TABLE = rootify.TABLE


@pytest.mark.parametrize("row", [each for each in TABLE.rows if len(each.stages) > 1])
def test_only_networks_from_scratch_have_the_full_rate(row):
    _, training = row.stages
    assert isinstance(training, Train)
    model = NetworkName.parse(row.network).model
    full = get_recipe(model, "cifar10").learning_rate
    scratch = row.weights is None
    assert isinstance(row.stages[0], Fresh) == scratch
    assert training.recipe.learning_rate == (full if scratch else full / 5)
    assert bool(training.recipe.warmup) == scratch
    assert training.recipe.epochs == 10


def test_table_of_carried_weights(tmp_path):
    helpers.write_runs(tmp_path, TABLE, {"trained": {"epochs": 3}})
    log = "epoch,val_accuracy\n1,0.5\n2,0.6\n3,0.75\n"
    (tmp_path / "nin-energy" / "trained" / "log.csv").write_text(log)
    lines = {line["row"]: line for line in tables.lines(TABLE, tmp_path)}
    dense, energy = lines["nin-dense"], lines["nin-energy"]
    assert dense["error_0"] == 0.2
    assert [dense[f"error_{n}"] for n in (1, 3, 10)] == [None] * 3
    assert energy["error_0"] == pytest.approx(0.22)
    assert [energy[f"error_{n}"] for n in (1, 3, 10)] == [0.5, 0.25, None]
    assert (energy["epochs"], energy["start"]) == (3, "energy")
    text = tables.markdown(TABLE, [energy])
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
    paths = tables.write("rootify", TABLE, tmp_path / "none", tmp_path)
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
