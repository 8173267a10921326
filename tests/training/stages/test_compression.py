import csv
import dataclasses

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.training.stages import (
    compression,
    compression_report,
    compression_settings,
)
from keras_roots.training.stages.compression_settings import (
    Decomposition,
    FineTuning,
    Force,
    Settings,
    Sparsification,
)
from keras_roots.training.trainer.recipes import Recipe

RECIPE = Recipe(2, 8, 0.02, warmup=0.1)


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """Classes that differ in their colour."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 40), ("test", 12)):
        labels = np.arange(count) % 3
        images = rng.integers(0, 100, (count, 8, 8, 3))
        images[np.arange(count), :, :, labels] += 150
        arrays |= {f"x_{split}": images.astype("uint8"), f"y_{split}": labels}
    path = tmp_path_factory.mktemp("data") / "colours.npz"
    np.savez(path, **arrays)
    return str(path)


def start(dataset):
    """A network of three convolutions, quickly compiled."""
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for name, filters in (("conv1", 8), ("conv2", 12), ("conv3", 16)):
        x = keras.layers.Conv2D(filters, 3, padding="same", name=name)(x)
        x = keras.layers.BatchNormalization(momentum=0.5, name=f"{name}_bn")(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
    x = keras.layers.Conv2D(16, 1, name="mix")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    classes = len(dataset.class_names)
    outputs = keras.layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, outputs, name="small")


def work(npz, directory, make_start=start, lines=None, **changes):
    """A compression of that network, told to be quiet."""
    recipes = dict.fromkeys(("baseline", "force", "finetune"), RECIPE)
    settings = {
        "dataset": npz,
        "recipes": recipes,
        "force": Force(0.05),
        "decomposition": Decomposition(error=0.3, recalibration_images=16),
        "holdout": 8,
        "start": {"model": "small"},
    }
    return compression.Compression(
        Settings(**{**settings, **changes}),
        directory,
        make_start,
        verbose=False,
        say=[].append if lines is None else lines.append,
    )


@pytest.fixture(scope="module")
def finished(npz, tmp_path_factory):
    """A compression of which every stage is done."""
    run = work(npz, tmp_path_factory.mktemp("compression") / "run")
    run.run()
    return run


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_stage_leaves_its_model(finished):
    assert finished.done() == ["baseline", "force", "decompose", "finetune"]
    models = {stage: finished.model(stage) for stage in finished.done()}
    macs = {name: keras_roots.profile(model).macs for name, model in models.items()}
    assert macs["baseline"] == macs["force"] > macs["decompose"] == macs["finetune"]
    for stage, model in models.items():
        result = finished.result(stage)
        assert result["macs"] == macs[stage]
        assert result["validation_images"] == 8
        assert not model.losses
        assert model.output_shape == (None, 3)
    before, after = (models[name].get_weights() for name in ("baseline", "force"))
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(before, after, strict=True))
    plan = rows(finished.directory / "decompose" / "plan.csv")
    assert sum(int(row["macs_after"]) for row in plan) < macs["decompose"]
    decomposed = {row["name"] for row in plan if row["decomposed"] == "True"}
    names = {layer.name for layer in models["finetune"].layers}
    assert decomposed and {f"{name}_basis" for name in decomposed} <= names


def test_recalibration_takes_the_statistics_of_the_decomposed_network(finished):
    mean = "conv2_bn"
    before, after = (
        finished.model(stage).get_layer(mean).get_weights()
        for stage in ("force", "decompose")
    )
    for old, new in zip(before[:2], after[:2], strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(before[2] - after[2]).max() > 1e-3


def test_what_is_done_is_not_done_again(npz, finished):
    lines = []

    def fail(dataset):
        raise AssertionError("the baseline is done")

    times = [
        (finished.directory / stage / "model.keras").stat().st_mtime_ns
        for stage in finished.done()
    ]
    work(npz, finished.directory, fail, lines).run()
    assert [line.split(":")[1].split(",")[0] for line in lines] == [" done already"] * 4
    assert times == [
        (finished.directory / stage / "model.keras").stat().st_mtime_ns
        for stage in finished.done()
    ]


def test_other_settings_need_another_directory(npz, finished):
    with pytest.raises(ValueError, match="another.*configuration.*strength"):
        work(npz, finished.directory, force=Force(0.5)).run(["force"])
    # Those of a later stage do not matter to an earlier one.
    other = work(npz, finished.directory, finetuning=FineTuning(distillation=1.0))
    other.run(["baseline", "force", "decompose"])
    with pytest.raises(ValueError, match="distillation"):
        other.run(["finetune"])


def test_forces_coordinate_the_chosen_layers(npz, tmp_path):
    """The energy in the first direction rises, where forces act; seeds are equal."""
    leading = {}
    for strength in (0.0, 1.0):
        force = Force(strength, layers="conv3")
        run = work(npz, tmp_path / str(strength), force=force)
        run.run(["baseline", "force"])
        layers = keras_roots.rank_analysis(run.model("force")).layers
        leading[strength] = {layer.name: layer.leading_energy for layer in layers}
    name = "conv3"
    assert leading[1.0][name] > leading[0.0][name] + 0.05
    name = "conv2"
    assert leading[1.0][name] == pytest.approx(leading[0.0][name], abs=0.05)


def test_a_stage_alone_needs_the_one_before(npz, tmp_path):
    with pytest.raises(ValueError, match="'decompose' needs the model of .* 'force'"):
        work(npz, tmp_path / "run").run(["decompose"])
    with pytest.raises(ValueError, match=r"of \['baseline'.*Received: \['quantise'\]"):
        work(npz, tmp_path / "run").run(["quantise"])


def test_stages_without_a_recipe_are_left_out(npz, tmp_path):
    run = work(npz, tmp_path / "run", recipes={})
    run.run()
    assert run.done() == ["baseline", "decompose"]
    assert run.before("decompose") == "baseline"


def test_distillation_and_shrinking_go_on_where_they_were(npz, tmp_path):
    """Two segments, each smaller than the one before, in one course of training."""
    recipe = dataclasses.replace(RECIPE, epochs=3)
    options = {
        "recipes": {"finetune": recipe},
        "finetuning": FineTuning(distillation=1.0, shrink_every=1, shrink_error=0.3),
    }
    run = work(npz, tmp_path / "run", **options)
    run.run()
    folder = run.directory / "finetune"
    macs = [
        keras_roots.profile(keras.models.load_model(path, compile=False)).macs
        for path in (
            run.directory / "decompose" / "model.keras",
            folder / "segment0" / "shrunk.keras",
            folder / "segment1" / "shrunk.keras",
            folder / "model.keras",
        )
    ]
    assert macs[0] > macs[1] > macs[2] == macs[3]
    logs = [folder / "segment0", folder / "segment1", folder]
    epochs = [[row["epoch"] for row in rows(log / "log.csv")] for log in logs]
    assert epochs == [["1"], ["2"], ["3"]]
    assert not any(layer.name == "teacher" for layer in run.model("finetune").layers)
    # As if it had been stopped after the first segment.
    whole = run.model("finetune").get_weights()
    for name in ("model.keras", "result.json", "last.weights.h5", "log.csv"):
        (folder / name).unlink()
    for name in ("shrunk.keras", "shrunk.weights.h5", "last.weights.h5", "log.csv"):
        (folder / "segment1" / name).unlink()
    again = work(npz, tmp_path / "run", **options)
    again.run()
    for one, two in zip(whole, again.model("finetune").get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=2e-3)


def test_relative_strength(npz, tmp_path):
    run = work(npz, tmp_path / "run", force=Force(0.5, relative=True))
    run.run(["baseline", "force"])
    assert run.is_done("force")


def test_ranks(finished, npz):
    found = compression_report.ranks(finished)
    assert list(found) == ["baseline", "force"]
    assert len(found["force"].layers) == 3  # without the 1x1
    table = rows(finished.directory / "ranks.csv")
    assert len(table) == 2 * 3
    assert (finished.directory / "spectra.png").stat().st_size > 1000
    first = keras.ops.convert_to_numpy(
        finished.model("force").get_layer("conv1").kernel
    )
    values = np.linalg.svd(first.reshape(-1, 8), compute_uv=False) ** 2
    rank = int((np.cumsum(values) / values.sum() < 0.7).sum()) + 1
    row = next(
        row for row in table if (row["stage"], row["layer"]) == ("force", "conv1")
    )
    assert int(row["rank"]) == rank
    with pytest.raises(ValueError, match="has none: run one first"):
        compression_report.ranks(work(npz, finished.directory / "nothing"))


@pytest.mark.slow
def test_export_measures_every_stage(finished, npz):
    table = compression_report.export(finished, runs=5)
    assert [row["stage"] for row in table] == finished.done()
    for row in table:
        for kind in ("float32", "int8"):
            path = finished.directory / "export" / f"{row['stage']}-{kind}.tflite"
            assert row[f"{kind}_bytes"] == path.stat().st_size
            assert row[f"{kind}_ms"] > 0
        assert row["float32_top1"] == row["top1"]
    assert table[0]["float32_ratio"] == 1
    assert len(rows(finished.directory / "table.csv")) == 4
    text = compression_report.render(table)
    assert f"{table[2]['macs']:,}" in text
    with pytest.raises(ValueError, match="nothing to export"):
        compression_report.export(work(npz, finished.directory / "nothing"))


@pytest.mark.parametrize(
    "layers, family, message",
    [
        ("paper", "root_nin", "paper is for the paper's networks.*root_nin"),
        ("paper", None, "root_convnet"),
        ("conv(", None, "regular expression.*fails with"),
    ],
)
def test_impossible_layers(layers, family, message):
    with pytest.raises(ValueError, match=message):
        compression_settings.chosen_layers(layers, family)


def test_layers_by_expression():
    chosen = compression_settings.chosen_layers(r"conv\d", None)
    names = ["conv1", "conv12", "conv2"]
    layers = [keras.layers.Conv2D(1, 1, name=name) for name in names]
    assert list(map(chosen, layers)) == [True, False, True]
    assert compression_settings.chosen_layers("all", None) is None


def test_a_network_that_is_no_classifier_is_refused(npz, tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Activation("relu")(x))
    run = work(npz, tmp_path / "run", lambda dataset: model)
    with pytest.raises(ValueError, match="must end in a softmax"):
        run.run(["baseline"])
    assert not list((tmp_path / "run" / "baseline").iterdir())  # free for another try


def test_a_stage_that_failed_can_be_set_right(npz, tmp_path):
    for ranks, error in (({"conv2": 500}, "ranks"), ({"conv2": 4}, None)):
        how = Decomposition(ranks=ranks, recalibration_images=0)
        run = work(npz, tmp_path / "run", recipes={}, decomposition=how)
        if error is None:
            run.run()
        else:
            with pytest.raises(ValueError, match="from 1 to 12"):
                run.run()
    assert run.model("decompose").get_layer("conv2_basis").filters == 4


def test_the_seed_decides_the_start(npz, tmp_path):
    kernels = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = work(npz, tmp_path / name, recipes={}, seed=seed)
        run.run(["baseline"])
        kernels.append(run.model("baseline").get_weights()[0])
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).max() > 0


def test_settings_of_done_stages_are_compared(npz, finished, tmp_path):
    other = work(npz, finished.directory, seed=5)
    with pytest.raises(ValueError, match="another.*configuration.*seed"):
        compression_report.ranks(other)


def test_images_have_the_size_of_the_model(npz, tmp_path):
    def larger(dataset):
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(8, 3, name="conv")(inputs)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))

    how = Decomposition(error=0.5, method="responses", recalibration_images=8)
    run = work(npz, tmp_path / "run", larger, recipes={}, decomposition=how)
    run.run()
    assert "conv_basis" in {layer.name for layer in run.model("decompose").layers}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"decomposition": Decomposition(error=2.0)}, "`error` must be"),
        (
            {"decomposition": Decomposition(ranks={"a": 1}, macs=0.5)},
            "exclude each other",
        ),
        (
            {
                "decomposition": Decomposition(
                    method="responses", recalibration_images=0
                )
            },
            "needs sample images",
        ),
        ({"sparsification": Sparsification(sparsity=1.0)}, "`sparsity` must be"),
        ({"finetuning": FineTuning(shrink_error=0.0)}, "`error` must be"),
        (
            {
                "finetuning": FineTuning(shrink_every=1),
                "recipes": {"finetune": dataclasses.replace(RECIPE, ema=0.9)},
            },
            "cannot be combined with a moving average",
        ),
    ],
)
def test_settings_are_checked_before_hours_of_training(npz, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        work(npz, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()
