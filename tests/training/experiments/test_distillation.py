"""The table of what training wins back, with labels and without."""

import dataclasses
import json
from pathlib import Path

import helpers
import keras
import numpy as np
import pytest

from keras_roots.training import data
from keras_roots.training.experiments import distillation, tables
from keras_roots.training.stages import Context

TABLE = distillation.TABLE


def test_table_of_distillation(tmp_path):
    full = {"epochs": 5, "train_images": 50, "top1": 0.75}
    changes = {"few": {"epochs": 4, "top1": 0.5}, "finetuned": full}
    helpers.write_runs(tmp_path, TABLE, changes | {"distilled": full | {"top1": 0.625}})
    lines = {line["row"]: line for line in tables.lines(TABLE, tmp_path)}
    whole, low = lines["root_nin"], lines["root_nin-latency-0.35"]
    assert (whole["part"], whole["cost"], whole["epochs"]) == (1.0, None, None)
    assert (low["part"], low["cost"], low["network"]) == (0.35, "latency", "root_nin:1")
    number = list(lines).index("root_nin-latency-0.35")
    assert low["error"] == pytest.approx(0.1 + 0.01 * number)
    errors = ["few_error", "distilled_error", "finetuned_error"]
    assert [low[name] for name in errors] == [0.5, 0.375, 0.25]
    assert [whole[name] for name in errors] == [None] * 3
    found = [low[name] for name in ("few_epochs", "epochs", "train_images", "images")]
    assert found == [4, 5, 50, 100]
    assert low["macs"] == 1000 + number
    for name in ("finetuned", "distilled", "few", "decompose"):
        (tmp_path / "root_nin-latency-0.35" / name / "result.json").unlink()
    again = {line["row"]: line for line in tables.lines(TABLE, tmp_path)}
    # The whole network's figures are not those of one that was made cheaper.
    assert again["root_nin-latency-0.35"]["error"] is None
    assert again["root_nin-latency-0.35"]["macs"] is None


def test_trainings_differ_in_what_teaches_alone():
    names = ["baseline", "decompose", "few", "distilled", "finetuned"]
    for row in TABLE.rows:
        assert [stage.name for stage in row.stages] in (names[:1], names)
        if len(row.stages) == 1:
            continue
        *_, without, labelled = row.stages
        how = {"name": without.name, "settings": without.settings}
        assert dataclasses.replace(labelled, **how) == without
        assert without.start == "decompose"
        assert without.settings.distillation_only
        assert not labelled.settings.distillation
        assert not labelled.settings.distillation_only
    by_epochs = {row.network: row.stages[-1].recipe.epochs for row in TABLE.rows[1::7]}
    assert by_epochs == {"root_nin:1": 2, "root_resnet20:1": 5}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.keras", r"`networks` must name .keras files that exist.*'none.keras'"),
        (".", "folders that hold a model.keras.*Received: '.'"),
        ("root_nin:3", "that are released for cifar10: .*Received: 'root_nin:3'"),
        ("root_googlenet", "that are released for cifar10: root_convnet:1"),
    ],
)
def test_networks_that_are_not_there(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        distillation.table([name])


def test_no_folder_takes_the_place_of_a_released_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = distillation.table(["root_nin:1"])
    for name in ("root_nin:1", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.keras").write_bytes(b"of somebody else")
    assert distillation.table(["root_nin:1"]) == expected
    with pytest.raises(ValueError, match="'mine'; write './mine' for the folder$"):
        distillation.table(["mine"])
    rows = distillation.table(["./mine"]).rows
    assert {row.network for row in rows} == {str(Path("mine", "model.keras"))}


def test_nothing_released_for_a_data_set():
    with pytest.raises(ValueError, match="`weights` must be one of the released"):
        distillation.table(["root_nin:1"], "imagenet2012")


@pytest.fixture
def context(tmp_path):
    dataset = data.open_dataset(helpers.colours(tmp_path / "colours.npz", train=80))
    return Context(dataset, tmp_path / "runs", say=lambda line: None, verbose=False)


def error_on_test(model, dataset):
    scores = model.predict(dataset.test.images.astype("float32"), verbose=0)
    return np.mean(scores.argmax(axis=-1) != dataset.test.labels)


def test_a_network_in_a_folder(context, tmp_path):
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "my run").mkdir()
    helpers.convolutions().save(tmp_path / "my run" / "model.keras")
    table = TABLE.of_networks([str(tmp_path / "my run")], context.dataset.name)
    assert [row.name for row in table.rows[:2]] == ["my-run", "my-run-macs-0.5"]
    tables.run(table, context, only="my-run(-macs-0.5)?", epochs=1)
    folder = context.folder / "my-run-macs-0.5"
    models = {
        name: keras.models.load_model(folder / name / "model.keras", compile=False)
        for name in ("decompose", "few", "distilled", "finetuned")
    }
    whole, line = tables.lines(table, context.folder)
    errors = ["error", "few_error", "distilled_error", "finetuned_error"]
    for name, model in zip(errors, models.values(), strict=True):
        assert line[name] == pytest.approx(
            error_on_test(model, context.dataset), abs=1e-4
        )
    assert line["macs"] <= 0.5 * whole["macs"]
    assert (line["epochs"], line["train_images"]) == (1, 80)
    # Each training has moved the same weights, to its own.
    kernels = [model.layers[2].get_weights()[0] for model in models.values()]
    for number, kernel in enumerate(kernels):
        for other in kernels[:number]:
            assert np.abs(kernel - other).max() > 0
    assert whole["float32_ratio"] == 1.0
    assert line["float32_ratio"] > 0
    # Measured again, not trained again.
    (context.folder / "measured.json").write_text(json.dumps({"other": {"ms": 1}}))
    done = [(path, path.stat().st_mtime_ns) for path in folder.glob("*/result.json")]
    tables.measure(table, context, again=True)
    again = tables.measured(context.folder)
    assert set(again) == {"my-run", "my-run-macs-0.5", "other"}
    assert [(path, path.stat().st_mtime_ns) for path, _ in done] == done


def test_each_network_is_measured_in_turns_with_its_own(monkeypatch):
    calls = []

    @dataclasses.dataclass
    class Time:
        median_ms: float
        ratio: float

    def compare(cases, runs):
        calls.append(list(cases))
        assert {case.optimize for case in cases.values()} == {"latency"}
        assert {case.quantize for case in cases.values()} == {None}
        return [Time(1.0 + n, 1.0 / (1 + n)) for n, _ in enumerate(cases)]

    monkeypatch.setattr(distillation.benchmarking, "compare", compare)
    names = ["a-b", "a-b-macs-0.5", "c", "c-latency-0.35", "a-b-latency-0.2"]
    found = TABLE.measure(dict.fromkeys(names), None)
    assert calls == [
        ["a-b", "a-b-macs-0.5", "a-b-latency-0.2"],
        ["c", "c-latency-0.35"],
    ]
    assert found["a-b-latency-0.2"] == {"float32_ms": 3.0, "float32_ratio": 0.3333}
