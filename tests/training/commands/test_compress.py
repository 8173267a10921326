"""The binary: stages as a user runs them."""

import csv
import subprocess
import sys

import pytest


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
        (["--stage=quantise"], "--stage must be of baseline, force"),
        (["--force_strength=2"], "another configuration"),
        (["--from=none.keras", f"--output_dir={tmp_path / 'b'}"], "existing .keras"),
        (["--force_layers=paper", "--model=root_nin"], "paper's networks"),
    ):
        failed = _run(*command, *wrong)
        assert failed.returncode == 1
        assert message in failed.stderr
        assert "Traceback" not in failed.stderr
