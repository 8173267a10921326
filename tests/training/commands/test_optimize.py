"""The binary: what its flags ask for, and what they refuse."""

import importlib.util
import json

import pytest

from keras_roots.training.commands import flags, optimize

_NIN = ["--model=root_nin", "--dataset=cifar10", "--weights=cifar10"]
_RUN = [*_NIN, "--output_dir=run"]
_CASES = [
    # The recipe of Network in Network on CIFAR-10 has a rate of 0.1.
    ([*_RUN, "--method=qat"], [3, 0.005, "pad_crop_mirror"]),
    ([*_RUN, "--method=prune"], [10, 0.01, "pad_crop_mirror"]),
    ([*_RUN, "--method=cluster"], [3, 0.001, "pad_crop_mirror"]),
    (
        [*_RUN, "--epochs=7", "--learning_rate=0.2", "--augmentation=none"],
        [7, 0.2, "none"],
    ),
    (
        ["--output_dir=run"],
        "A trained network is needed: a .keras file, or a `model` with `weights`, not "
        "both. Received: path=None, weights=None",
    ),
    (
        [*_RUN, "--from=a.keras"],
        "A trained network is needed: a .keras file, or a `model` with `weights`, not "
        "both. Received: path='a.keras', weights='cifar10'",
    ),
    (
        [*_RUN, "--method=qat", "--sparsity=0.5"],
        "--sparsity is for --method=prune. Received: --method=qat --sparsity=0.5",
    ),
    (
        [*_RUN, "--method=prune", "--clusters=8"],
        "--clusters is for --method=cluster. Received: --method=prune --clusters=8",
    ),
    (
        [*_RUN, "--method=prune", "--preserve_zeros"],
        "--preserve_zeros is for --method=qat or cluster. "
        "Received: --method=prune --preserve_zeros=True",
    ),
    (
        [*_RUN, "--epochs=0"],
        "`epochs` must be an integer, 1 or more. Received: epochs=0",
    ),
]


@pytest.mark.parametrize("arguments, expected", _CASES)
def test_flags(arguments, expected):
    given = flags.parse(optimize.run.classes, arguments)
    if isinstance(expected, str):
        with pytest.raises(ValueError) as error:
            optimize.plan(given)
        assert str(error.value) == expected
        return
    recipe = optimize.plan(given).recipe
    found = [recipe.epochs, recipe.learning_rate, recipe.augmentation]
    assert found == [expected[0], pytest.approx(expected[1]), expected[2]]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="needs the extra `optimize`",
)
def test_binary(run_command, tmp_path):
    printed = run_command(
        optimize.run,
        *("--method=prune", "--sparsity=0.5", "--model=root_convnet"),
        *("--weights=cifar10", "--dataset=cifar10-sample", "--epochs=1"),
        *("--batch_size=75", "--output_dir=run"),
    ).stdout
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["command"].startswith("keras-roots-optimize --model=root_convnet")
    assert result["sparsity"] == pytest.approx(0.5, abs=1e-3)
    table = printed[printed.rindex("}") :]
    for text in ("before", "prune", "int8", "zlib bytes", "50.00%"):
        assert text in table
