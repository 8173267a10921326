"""The page of a run: what it takes from the stages' folders."""

import dataclasses
import re

import helpers
import numpy as np

from keras_roots.training.data import open_dataset, open_unlabelled
from keras_roots.training.reports import page
from keras_roots.training.stages import (
    Context,
    Decompose,
    Decomposition,
    Keep,
    Stage,
    run,
)

ROWS = [{"name": "first", "macs": 1}, {"name": "last", "macs": 2}]
COLUMNS = {"name": "{}", "macs": "{:,}"}
STAGES = [
    Keep("baseline"),
    Decompose(settings=Decomposition(error=0.3, recalibration_images=16)),
]


def write(model, dataset, folder, stages=STAGES, **options):
    context = Context(dataset, folder, say=lambda line: None, verbose=False)
    outcome = run(stages, context, lambda: model, {})
    page.write_page(outcome, context, ROWS, COLUMNS, **options)
    return outcome, (folder / "report.html").read_text()


def chosen(found):
    return re.search(r'<tr class="chosen">.*?</tr>', found)[0]


def test_layers_and_classes_of_a_data_set(tmp_path):
    dataset = open_dataset(helpers.colours(tmp_path / "colours.npz"))
    outcome, found = write(helpers.convolutions(), dataset, tmp_path / "run")
    result = outcome.result("decompose")
    assert result["ranks"]
    for name, rank in result["ranks"].items():
        assert f"{name}: {rank} of " in found
    before = outcome.result("baseline")["macs"]
    assert f"{before:,} to {result['macs']:,}" in found
    assert found.count("<img") == 6
    assert any(f"{name}: " in found for name in dataset.class_names)
    assert "last" in chosen(found)
    assert "date: " in found and "hardware: " in found


def test_samples_without_labels_and_no_plan(tmp_path):
    model = helpers.convolutions()
    size = (10, *model.input_shape[1:])
    np.savez(tmp_path / "images.npz", np.random.default_rng(0).uniform(0, 255, size))
    dataset = open_unlabelled(str(tmp_path / "images.npz"), model)
    what = (model, dataset, tmp_path / "run", STAGES[:1])
    _, found = write(*what, chosen=0)
    assert "first" in chosen(found)
    assert "<h2>Layers" not in found and "<h2>Spectra" not in found
    assert found.count("<img") == len(dataset.held_out) == 2


@dataclasses.dataclass(frozen=True)
class Halve(Stage):
    """Halves the weights, as a stage of forces might."""

    name: str = "force"

    def run(self, model, folder, context):
        """As for every stage."""
        model.set_weights([weight / 2 for weight in model.get_weights()])
        return model, {}


def test_spectra_are_of_the_network_that_the_plan_was_made_for(tmp_path, monkeypatch):
    given = []

    def write_report(path, original, compressed, samples, planned, **others):
        given.extend([original, planned, compressed])
        path.write_text("")

    monkeypatch.setattr(page.compression, "write_report", write_report)
    dataset = open_dataset(helpers.colours(tmp_path / "colours.npz"))
    stages = [STAGES[0], Halve(), STAGES[1]]
    outcome, _ = write(helpers.convolutions(), dataset, tmp_path / "run", stages)
    for model, name in zip(given, ("baseline", "force", "decompose"), strict=True):
        expected = outcome.model(name).get_weights()
        for weight, other in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(weight, other)
