"""Flags of keras-roots-compress, to settings."""

import pytest
from absl.testing import flagsaver

from keras_roots.training.commands import compression_flags, compression_request
from keras_roots.training.commands import flags as shared
from keras_roots.training.stages.compression_settings import Budget


@pytest.fixture
def parse():
    """Function of command-line arguments that returns the settings they ask for."""
    if "force_strength" not in shared.FLAGS:
        compression_flags.define()

    def settings(*arguments):
        shared.FLAGS(["keras-roots-compress", *arguments])
        return compression_request.settings()

    # An unparsed FLAGS cannot be saved.
    shared.FLAGS(["keras-roots-compress"])
    with flagsaver.flagsaver():
        yield settings
    shared.FLAGS.unparse_flags()


def test_defaults(parse):
    settings = parse("--model=root_resnet20", "--dataset=cifar10")
    recipes = settings.recipes
    assert list(recipes) == ["baseline", "force", "finetune"]
    assert recipes["baseline"].epochs == 164
    assert recipes["force"].epochs == recipes["finetune"].epochs == 54
    # Force training at the baseline's own rate (papers.md 2.3).
    assert recipes["force"].learning_rate == recipes["baseline"].learning_rate
    assert recipes["finetune"].learning_rate == pytest.approx(0.02)
    assert settings.start["model"] == "root_resnet20"
    assert settings.decomposition.error == 0.05
    assert settings.decomposition.ranks is None


def test_flags_reach_the_settings(parse, tmp_path):
    plan = tmp_path / "plan.csv"
    plan.write_text("name,rank,decomposed\na,3,True\nb,5,False\nc,,False\nd,8,True\n")
    settings = parse(
        "--from=net.keras",
        "--force_strength=-0.5",
        "--force_norm=l1",
        "--force_normalize",
        "--force_layers=paper",
        "--force_epochs=4",
        "--force_learning_rate=0.5",
        "--finetune_epochs=5",
        "--cost=none",
        "--macs=1000000",
        f"--ranks={plan}",
        "--sparsify_epochs=2",
        "--group_lasso=0.01",
        "--distillation=2",
        "--shrink_every=3",
    )
    assert list(settings.recipes) == ["force", "finetune", "sparsify"]
    assert settings.recipes["force"].epochs == 4
    assert settings.recipes["force"].learning_rate == 0.5
    assert settings.start == {"from": "net.keras", "model": "root_nin"}
    force = settings.force
    assert (force.strength, force.norm, force.normalize) == (-0.5, "l1", True)
    assert force.layers == "paper"
    assert settings.decomposition.cost is None
    assert settings.decomposition.macs == 1_000_000
    assert settings.decomposition.ranks == {"a": 3, "d": 8}
    assert settings.sparsification.group_lasso == 0.01
    assert settings.finetuning.distillation == 2
    assert settings.finetuning.shrink_every == 3


def test_other_ways_to_say_it(parse):
    assert parse("--ranks=a=3, b=4").decomposition.ranks == {"a": 3, "b": 4}
    assert parse("--macs=0.5").decomposition.macs == 0.5
    scratch = parse("--from_scratch").recipes
    assert "baseline" not in scratch
    assert scratch["force"].epochs == 12  # as many as the baseline would have had


def test_a_time_to_meet(parse):
    assert parse("--latency=0.5").budget == Budget(0.5)  # as the function has it
    settings = parse(
        "--model=root_nin",
        "--weights=cifar10",
        "--dataset=cifar10",
        "--latency=0.25",
        "--quantize=int8",
        "--ways=rank",
        "--layers=pointwise",
        "--threads=2",
    )
    assert settings.budget == Budget(0.25, ("int8",), ("rank",), "pointwise", 2)
    assert list(settings.recipes) == ["finetune"]  # no forces unless asked for
    assert settings.finetuning.distillation == 1
    assert parse("--force_epochs=3").recipes["force"].epochs == 3


def test_a_new_head_is_trained_first(parse):
    start = ("--from=keras.applications.VGG16", "--epochs=4")
    settings = parse(*start, "--dataset=cifar10")
    assert settings.recipes["baseline"].epochs == 4
    assert settings.recipes["baseline"].learning_rate == pytest.approx(0.02)
    assert settings.start["image_size"] is None
    assert "baseline" not in parse("--dataset=imagenet2012").recipes
    given = parse("--dataset=cifar10", "--learning_rate=0.5").recipes
    assert given["baseline"].learning_rate == 0.5


@pytest.mark.parametrize("flag", ["macs=0.5", "error=0.1", "method=pca", "cost=none"])
def test_a_time_or_another_way_to_choose(parse, flag):
    name = flag.split("=")[0]
    with pytest.raises(ValueError, match=f"--latency or --{name}, not both"):
        parse("--latency=0.5", f"--{flag}")


@pytest.mark.parametrize("flag", ["quantize=int8", "ways=rank", "threads=2"])
def test_what_needs_a_time(parse, flag):
    with pytest.raises(ValueError, match="needs --latency"):
        parse(f"--{flag}")


@pytest.mark.parametrize("text", ["a", "a=b", "a=1,b"])
def test_impossible_ranks(parse, text):
    with pytest.raises(ValueError, match="--ranks must be layer=rank"):
        parse(f"--ranks={text}")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--sparsity=0.5"], "--sparsity needs --sparsify_epochs"),
        (["--distillation=1", "--finetune_epochs=0"], "needs --finetune_epochs"),
        (["--from_scratch", "--from=a.keras"], "not both"),
        (["--stage=sparsify"], "--stage=sparsify needs --sparsify_epochs"),
    ],
)
def test_flags_without_effect_are_refused(parse, arguments, message):
    with pytest.raises(ValueError, match=message):
        parse(*arguments)
