"""The binary: which stages its flags ask for, and stages as a user runs them."""

import csv

import helpers
import keras
import numpy as np
import pytest

from keras_roots.training.commands import compress, flags
from keras_roots.training.stages import Budget, Decomposition


def plan(*arguments):
    """The stages by name."""
    return {
        s.name: s for s in compress.plan(flags.parse(compress.run.classes, arguments))
    }


def test_defaults():
    stages = plan("--model=root_resnet20", "--dataset=cifar10")
    assert list(stages) == ["baseline", "force", "decompose", "finetune"]
    recipes = {name: stages[name].recipe for name in ("baseline", "force", "finetune")}
    assert recipes["baseline"].epochs == 164
    assert recipes["force"].epochs == recipes["finetune"].epochs == 54
    # Force training at the baseline's own rate (papers.md 2.3).
    assert recipes["force"].learning_rate == recipes["baseline"].learning_rate
    assert recipes["finetune"].learning_rate == pytest.approx(0.02)
    assert stages["force"].family == "root_resnet20"
    assert stages["decompose"].settings.error == 0.05
    assert stages["decompose"].settings.ranks is None
    assert stages["finetune"].settings.distillation == 0
    assert stages["finetune"].teacher == "force"


def test_flags_reach_the_stages(tmp_path):
    path = tmp_path / "plan.csv"
    path.write_text("name,way,rank\na,rank,3\nb,,5\nc,,\nd,rank,8\n")
    stages = plan(
        "--from=net.keras",
        "--force_strength=-0.5",
        "--force_norm=l1",
        "--force_normalize",
        "--force_layers=conv.*",
        "--force_epochs=4",
        "--force_learning_rate=0.5",
        "--finetune_epochs=5",
        "--cost=none",
        f"--ranks={path}",
        "--sparsify_epochs=2",
        "--group_lasso=0.01",
        "--distillation=2",
        "--shrink_every=3",
    )
    assert list(stages) == ["baseline", "force", "decompose", "finetune", "sparsify"]
    assert type(stages["baseline"]).__name__ == "Keep"
    assert stages["force"].recipe.epochs == 4
    assert stages["force"].recipe.learning_rate == 0.5
    force = stages["force"].forces
    assert (force.strength, force.norm, force.normalize) == (-0.5, "l1", True)
    assert force.layers == "conv.*"
    assert stages["decompose"].settings.cost == "none"
    assert stages["decompose"].settings.ranks == {"a": 3, "d": 8}
    assert stages["sparsify"].settings.group_lasso == 0.01
    assert stages["finetune"].settings.distillation == 2
    assert stages["finetune"].settings.shrink_every == 3


def test_ranks_alone_for_a_budget():
    stages = plan("--budget=0.5", "--method=responses", "--cost=latency")
    how = stages["decompose"].settings
    assert (how.budget, how.method, how.cost) == (0.5, ("responses",), "latency")
    assert "force" in stages


def test_forces_from_random_weights():
    stages = plan("--from_scratch")
    assert type(stages["baseline"]).__name__ == "Keep"
    assert stages["force"].recipe.epochs == 12  # as many as the baseline would have had


def test_groups_and_ranks_for_a_budget():
    assert plan("--budget=0.5")["decompose"].settings == Budget(budget=0.5)
    stages = plan(
        "--model=root_nin",
        "--weights=cifar10",
        "--dataset=cifar10",
        "--budget=0.25",
        "--quantize=int8",
        "--ways=rank",
        "--layers=pointwise",
        "--threads=2",
    )
    expected = Budget(
        budget=0.25, quantize="int8", ways=("rank",), layers="pointwise", threads=2
    )
    assert stages["decompose"].settings == expected
    # No forces unless asked for.
    assert list(stages) == ["baseline", "decompose", "finetune"]
    assert stages["finetune"].settings.distillation == 1
    assert stages["finetune"].teacher == "baseline"
    assert plan("--budget=0.5", "--force_epochs=3")["force"].recipe.epochs == 3


def test_a_new_head_is_trained_first():
    start = ("--from=keras.applications.VGG16", "--epochs=4")
    baseline = plan(*start, "--dataset=cifar10")["baseline"]
    assert baseline.recipe.epochs == 4
    assert baseline.recipe.learning_rate == pytest.approx(0.02)
    ready = plan(*start, "--dataset=imagenet2012")["baseline"]
    assert type(ready).__name__ == "Keep"
    given = plan(*start, "--dataset=cifar10", "--learning_rate=0.5")["baseline"]
    assert given.recipe.learning_rate == 0.5


@pytest.mark.parametrize("flag", ["error=0.1", "ranks=a=3", "rank_multiple=2"])
def test_a_budget_or_another_way_to_choose(flag):
    name = flag.split("=")[0]
    with pytest.raises(ValueError, match=f"--budget or --{name}, not both"):
        plan("--budget=0.5", f"--{flag}")


@pytest.mark.parametrize("flag", ["quantize=int8", "ways=rank", "threads=2"])
def test_what_needs_a_budget(flag):
    for more in ([], ["--budget=0.5", "--method=pca"]):
        with pytest.raises(ValueError, match="needs --budget without --method"):
            plan(f"--{flag}", *more)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--sparsity=0.5"], "--sparsity needs --sparsify_epochs"),
        (["--distillation=1", "--finetune_epochs=0"], "needs --finetune_epochs"),
        (["--distillation_only", "--finetune_epochs=0"], "needs --finetune_epochs"),
        (["--from_scratch", "--from=a.keras"], "not both"),
        (["--stage=sparsify"], "--stage=sparsify needs --sparsify_epochs"),
        (["--stage=quantise"], "`stage` must be of"),
        (["--ranks=a"], "`ranks` must be layer=rank"),
    ],
)
def test_flags_without_effect_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(*arguments)


def plan_without_labels(*arguments):
    given = flags.parse(compress.run.classes, ["--images=photographs", *arguments])
    return {stage.name: stage for stage in compress.plan_without_labels(given)}


def test_without_labels_outputs_are_matched():
    made = plan_without_labels("--from=net.keras", "--budget=0.25", "--cost=macs")
    assert list(made) == ["baseline", "decompose", "finetune"]
    assert made["decompose"].settings == Budget(budget=0.25, cost="macs")
    assert (made["finetune"].epochs, made["finetune"].teacher) == (5, "baseline")
    made = plan_without_labels(
        "--model=root_nin",
        "--root=8",
        "--weights=cifar10",
        "--budget=0.5",
        "--method=responses",
        "--finetune_epochs=2",
        "--finetune_learning_rate=0.1",
        "--temperature=3",
    )
    expected = Decomposition(budget=0.5, method=("responses",))
    assert made["decompose"].settings == expected
    stage = made["finetune"]
    assert (stage.epochs, stage.learning_rate, stage.temperature) == (2, 0.1, 3)
    made = plan_without_labels("--from=net.keras", "--finetune_epochs=0")
    assert list(made) == ["baseline", "decompose"]


@pytest.mark.parametrize(
    "flag",
    [
        "dataset=cifar10",
        "holdout=5",
        "epochs=3",
        "force_strength=1",
        "distillation=1",
        "distillation_only",
    ],
)
def test_what_needs_labels_is_refused_without(flag):
    name = flag.split("=")[0]
    with pytest.raises(ValueError, match=f"Give --images or --{name}, not both"):
        plan_without_labels("--from=a.keras", "--budget=0.5", f"--{flag}")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "A trained network is needed"),
        (["--from=keras.applications.VGG16"], "save the network of keras.applications"),
        (["--from=a.keras", "--stage=force"], "with --images. Received: .'force'"),
        (["--from=a.keras", "--quantize=int8"], "needs --budget without --method"),
    ],
)
def test_flags_that_cannot_be_without_labels(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan_without_labels(*arguments)


@pytest.mark.slow
def test_the_whole_way(run_command, tmp_path):
    """Every stage on a few images, then what a user gets wrong."""
    images = helpers.colours(tmp_path / "colours.npz", train=480, test=24)
    command = [
        "--model=root_convnet",
        f"--dataset={images}",
        "--batch_size=16",
        "--epochs=6",
        "--force_epochs=1",
        "--finetune_epochs=1",
        "--error=0.2",
        "--sparsify_epochs=1",
        "--sparsity=0.5",
        f"--output_dir={tmp_path / 'run'}",
    ]
    done = run_command(compress.run, *command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "ranks, force" in done.stdout
    with open(tmp_path / "run" / "table.csv", newline="") as file:
        table = {row["stage"]: row for row in csv.DictReader(file)}
    assert list(table) == ["baseline", "force", "decompose", "finetune", "sparsify"]
    assert float(table["finetune"]["top1"]) > 0.8
    assert int(table["finetune"]["macs"]) < int(table["baseline"]["macs"])
    found = (tmp_path / "run" / "report.html").read_text()
    assert "<h2>Spectra" in found and "sparsify" in found
    for stage, row in table.items():
        assert f"{float(row['top1']):.2%}" in done.stdout, stage
    failed = run_command(compress.run, *command, "--force_strength=2")
    assert failed.returncode == 1
    assert "another configuration" in failed.stderr
    assert "Traceback" not in failed.stderr
    for wrong, message in (
        (["--stage=quantise"], "`stage` must be of"),
        (["--from=none.keras", f"--output_dir={tmp_path / 'b'}"], "existing .keras"),
        (["--force_layers=paper", "--model=root_nin"], "paper's networks"),
    ):
        with pytest.raises(ValueError, match=message):
            compress.main(flags.parse(compress.run.classes, [*command, *wrong]))


def _detector():
    """Two inputs that are not square; a map and boxes."""
    first = keras.Input((12, 8, 1), name="first")
    second = keras.Input((12, 8, 2), name="second")
    x = keras.layers.Concatenate()([first, second])
    for index in range(2):
        x = helpers.same_conv(16, 3, f"conv{index}")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    outputs = [
        keras.layers.Conv2D(1, 1, activation="sigmoid", name="map")(x),
        keras.layers.Dense(4, name="boxes")(pooled),
    ]
    model = keras.Model([first, second], outputs, name="detector")
    return helpers.assign_random(model)


@pytest.mark.slow
def test_a_network_of_any_task_without_labels(run_command, tmp_path):
    """Two inputs, two outputs; the same command goes on where it was stopped."""
    model = _detector()
    model.save(tmp_path / "detector.keras")
    rng = np.random.default_rng(0)
    arrays = {
        tensor.name: rng.normal(size=(40, *tensor.shape[1:])).astype("float32")
        for tensor in model.inputs
    }
    np.savez(tmp_path / "samples.npz", **arrays)
    folder = tmp_path / "run"
    command = [
        f"--from={tmp_path / 'detector.keras'}",
        f"--images={tmp_path / 'samples.npz'}",
        "--budget=0.5",
        "--cost=macs",
        "--finetune_epochs=2",
        f"--output_dir={folder}",
    ]
    first = run_command(compress.run, *command, "--stage=baseline,decompose")
    assert first.returncode == 0, first.stderr[-3000:]
    assert not (folder / "model.tflite").exists()
    done = run_command(compress.run, *command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "decompose: done already, outputs are off by" in done.stdout
    with open(folder / "table.csv", newline="") as file:
        table = {row["name"]: row for row in csv.DictReader(file)}
    stages = ["baseline", "decompose", "finetune"]
    assert list(table)[:4] == [*stages, "original, float32"]
    assert list(table)[-1] == "compressed"
    assert int(table["finetune"]["macs"]) <= 0.5 * int(table["baseline"]["macs"])
    assert float(table["finetune"]["error"]) <= float(table["decompose"]["error"])
    found = (folder / "report.html").read_text()
    assert "boxes, compressed" in found and "conv1" in found
    small = keras.models.load_model(folder / "model.keras")
    held = [arrays[tensor.name] for tensor in small.inputs]
    for ours, theirs in zip(small.predict(held), model.predict(held), strict=True):
        assert np.square(ours - theirs).sum() < np.square(theirs).sum()
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for wrong, message in (
        ([f"--output_dir={tmp_path / 'file'}"], "must be a folder, which need not"),
        ([f"--images={tmp_path / 'empty'}"], "Received: a folder, and a network"),
        (["--images=none.npz"], "must be a folder of images or an .npz file"),
    ):
        failed = run_command(compress.run, *command, *wrong)
        assert failed.returncode == 1
        assert message in failed.stderr
        assert "Traceback" not in failed.stderr
