"""The file that a compression leaves, beside those of the original."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots.training.data import open_dataset, open_unlabelled
from keras_roots.training.reports import delivery
from keras_roots.training.stages import (
    Budget,
    Context,
    Decompose,
    Decomposition,
    Keep,
    Outcome,
    run,
)

STAGES = [
    Keep("baseline"),
    Decompose(settings=Decomposition(error=0.3, recalibration_images=16)),
]


@pytest.fixture
def nothing(tmp_path):
    return Outcome(tmp_path, ("baseline", "decompose"))


def test_a_network_within_a_budget_is_delivered(nothing, tmp_path):
    dataset = open_dataset(helpers.colours(tmp_path / "colours.npz"))
    quiet = {"say": lambda line: None, "verbose": False}
    context = Context(dataset, tmp_path / "run", **quiet)
    finished = run(STAGES, context, helpers.convolutions, {})
    budget = Budget(budget=0.5, recalibration_images=16)
    table = delivery.deliver(finished, context, budget)
    named = [(row["name"], row["quantize"]) for row in table]
    assert named == [("original", "none"), ("original", "int8"), ("compressed", "none")]
    assert table[0]["ratio"] == 1
    assert table[2]["macs"] == finished.result("decompose")["macs"] < table[0]["macs"]
    path = finished.folder / "model.tflite"
    assert table[2]["bytes"] == path.stat().st_size
    written = helpers.read_rows(finished.folder / "budget.csv")
    assert [row["top1"] for row in written] == [str(row["top1"]) for row in table]
    assert "compressed" in delivery.render_budget(table)
    with pytest.raises(ValueError, match="has no network that meets the budget yet"):
        delivery.deliver(nothing, context, budget)


def test_a_network_without_labels_is_delivered(nothing, tmp_path):
    """Its outputs are compared with the original's, one by one."""
    inputs = keras.Input((12, 8, 2))
    x = helpers.same_conv(16, 3, "first", activation="relu")(inputs)
    x = helpers.same_conv(16, 3, "second")(x)
    outputs = [
        keras.layers.Conv2D(1, 1, name="map")(x),
        keras.layers.Dense(4, name="boxes")(keras.layers.GlobalMaxPooling2D()(x)),
    ]
    model = helpers.assign_random(keras.Model(inputs, outputs))
    images = np.random.default_rng(0).normal(size=(40, 12, 8, 2)).astype("float32")
    np.savez(tmp_path / "samples.npz", images)
    dataset = open_unlabelled(str(tmp_path / "samples.npz"), model)
    context = Context(dataset, tmp_path / "run", say=lambda line: None)
    finished = run(STAGES, context, lambda: model, {})
    table = delivery.deliver_unlabelled(finished, context, runs_of_each=5)
    named = {row["name"]: row for row in table}
    assert list(named) == [
        "baseline",
        "decompose",
        "original, float32",
        "original, int8",
        "compressed",
    ]
    small = keras.models.load_model(finished.folder / "model.keras")
    (held_out,) = dataset.held_out.arrays
    errors = {
        name: np.square(ours - theirs).sum() / np.square(theirs).sum()
        for name, ours, theirs in zip(
            ("map", "boxes"),
            small.predict(held_out, verbose=0),
            model.predict(held_out, verbose=0),
            strict=True,
        )
    }
    for name in ("decompose", "compressed"):
        assert named[name]["errors"] == pytest.approx(errors, rel=1e-2)
        assert named[name]["macs"] < named["baseline"]["macs"]
    assert named["baseline"]["error"] == 0
    file = finished.folder / "model.tflite"
    assert named["compressed"]["bytes"] == file.stat().st_size
    written = helpers.read_rows(finished.folder / "table.csv")
    assert [row["name"] for row in written] == list(named)
    assert float(written[-1]["error map"]) == named["compressed"]["errors"]["map"]
    assert "error boxes" in delivery.render_unlabelled(table)
    result = finished.result("decompose")
    assert result["error"] == pytest.approx(np.mean(list(errors.values())), rel=1e-2)
    assert "top1" not in result
    with pytest.raises(ValueError, match="has no network that meets the budget yet"):
        delivery.deliver_unlabelled(nothing, context)
