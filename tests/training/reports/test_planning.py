"""Measurements of planning, on tiny networks."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots import decompose
from keras_roots.training import reports


def _network():
    return helpers.chain(
        helpers.same_conv(16, 3, "one", activation="relu"),
        helpers.same_conv(16, 3, "two", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
        side=8,
    )


def test_times_of_both_steps():
    images = helpers.pixels(12, 8)
    rows = list(reports.time_planning("tiny", _network(), images))
    assert [row["step"] for row in rows] == ["plan", "apply"]
    for row in rows:
        assert (row["network"], row["image_size"], row["images"]) == ("tiny", 8, 12)
        assert row["seconds"] >= 0 and row["cpu_seconds"] >= 0 and row["peak_gb"] > 0


def test_both_orders_are_judged_on_other_images():
    """Against the logits of a decomposition in order, on images that it never saw."""
    model = _network()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5060, 8, 8, 3)).astype("uint8")
    logits = model.predict(images.astype("float32"), verbose=0)
    rows = list(
        reports.compare_orders("tiny", model, images, logits.argmax(1), 40, 1, [0.5])
    )
    whole, at_once, in_order = rows
    assert (whole["top1"], whole["agreement"], whole["error"]) == (1, 1, 0)
    assert {(row["budget"], row["samples"]) for row in rows[1:]} == {(0.5, 40)}
    assert at_once["fitted"] != in_order["fitted"]
    order = np.random.default_rng(1).permutation(5060)
    chosen = np.random.default_rng(0).choice(order[:60], 40, replace=False)
    small = decompose(
        model, method="responses", budget=0.5, images=images[chosen].astype("float32")
    )
    found = small.predict(images[order[60:]].astype("float32"), verbose=0)
    want = logits[order[60:]]
    error = ((found - want) ** 2).sum() / ((want - want.mean(0)) ** 2).sum()
    assert in_order["error"] == pytest.approx(error, abs=1e-4)
    assert in_order["top1"] == in_order["agreement"]
