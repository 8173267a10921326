"""The binary: which stages its flags ask for, and stages as a user runs them."""

import csv
import subprocess
import sys

import pytest

from keras_roots.training.commands import compress, flags
from keras_roots.training.stages import Budget


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
    assert (how.budget, how.method, how.cost) == (0.5, "responses", "latency")
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
        (["--from_scratch", "--from=a.keras"], "not both"),
        (["--stage=sparsify"], "--stage=sparsify needs --sparsify_epochs"),
        (["--stage=quantise"], "`stage` must be of"),
        (["--ranks=a"], "`ranks` must be layer=rank"),
    ],
)
def test_flags_without_effect_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(*arguments)


def _run(*arguments):
    code = "from keras_roots.training.commands import compress; compress.run()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_whole_way_on_digits(tmp_path):
    """Every stage on the embedded digits, then what a user gets wrong."""
    command = [
        "--model=root_convnet",
        "--epochs=6",
        "--force_epochs=1",
        "--finetune_epochs=1",
        "--error=0.2",
        "--sparsify_epochs=1",
        "--sparsity=0.5",
        f"--output_dir={tmp_path / 'run'}",
    ]
    done = _run(*command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "ranks, force" in done.stdout
    with open(tmp_path / "run" / "table.csv", newline="") as file:
        table = {row["stage"]: row for row in csv.DictReader(file)}
    assert list(table) == ["baseline", "force", "decompose", "finetune", "sparsify"]
    assert float(table["finetune"]["top1"]) > 0.8
    assert int(table["finetune"]["macs"]) < int(table["baseline"]["macs"])
    for stage, row in table.items():
        assert f"{float(row['top1']):.2%}" in done.stdout, stage
    for wrong, message in (
        (["--stage=quantise"], "`stage` must be of"),
        (["--force_strength=2"], "another configuration"),
        (["--from=none.keras", f"--output_dir={tmp_path / 'b'}"], "existing .keras"),
        (["--force_layers=paper", "--model=root_nin"], "paper's networks"),
    ):
        failed = _run(*command, *wrong)
        assert failed.returncode == 1
        assert message in failed.stderr
        assert "Traceback" not in failed.stderr
