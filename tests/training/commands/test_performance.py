"""The command that measures everything for the page of results."""

import pytest

from keras_roots.training.commands import performance
from keras_roots.training.commands.performance import Performance


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "`output_dir` is required"),
        ({"output_dir": "a", "convert_only": True}, "`convert_only` needs `files_dir`"),
        (
            {"output_dir": "a", "suite": ("ratios", "speed")},
            r"`suite` must be of \('ratios',.*'ratios', 'speed'",
        ),
    ],
)
def test_options_that_cannot_be(values, text):
    with pytest.raises(ValueError, match=text):
        Performance(**values)


def test_binary(run_command, monkeypatch):
    converted = []
    monkeypatch.setattr(
        performance.performance, "convert", lambda *how: converted.append(how[:2])
    )
    done = run_command(
        performance.run,
        *("--output_dir=new", "--files_dir=files", "--convert_only"),
        *("--suite=ratios", "--quick"),
    )
    assert done.returncode == 0, done.stderr
    ((trials, folder),) = converted
    models = [trial.model for trial in trials]
    assert models.count("root_resnet50:64") == 4
    assert not any("root_googlenet" in model for model in models)
    assert folder == "files"
    done = run_command(performance.run, "--output_dir=new", "--plot_only")
    assert done.returncode == 1
    assert done.stderr.startswith("error: `output_dir` must hold results")
