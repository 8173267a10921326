"""Measurements of planning, on tiny networks."""

import itertools

import helpers
import keras
import numpy as np
import pytest

from keras_roots import decompose, profile
from keras_roots.compression import plan_compression
from keras_roots.training import reports
from keras_roots.training.data import Arrays, Dataset


def _network(activation=None):
    return helpers.chain(
        helpers.same_conv(16, 3, "one", activation="relu"),
        helpers.same_conv(16, 3, "two", activation="relu"),
        helpers.same_conv(16, 3, "three", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation=activation),
        side=8,
    )


def test_times_of_both_steps():
    images = helpers.pixels(12, 8)
    rows = list(reports.time_planning("tiny", _network(), images))
    assert [row["step"] for row in rows] == ["plan", "apply"]
    for row in rows:
        assert (row["network"], row["image_size"], row["images"]) == ("tiny", 8, 12)
        assert row["seconds"] >= 0 and row["cpu_seconds"] >= 0 and row["peak_gb"] > 0


def _dataset(classes=3):
    """Other images to fit to than to compare on; labels that no network knows."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (160, 8, 8, 3)).astype("uint8")
    labels = rng.integers(0, classes, 160)
    parts = [Arrays(images[part], labels[part]) for part in np.split(range(160), [60])]
    train, evaluation = parts
    return Dataset("noise", tuple("abcd"[:classes]), train, evaluation, train, 8)


def _fitted_to(dataset, seed, count=40):
    chosen = np.random.default_rng(seed).permutation(60)[:count]
    return dataset.train.images[np.sort(chosen)].astype("float32")


def _figures(dataset, model, small):
    """Top-1, agreement and error of the logits, of networks that end in a softmax."""
    images = dataset.evaluation.images.astype("float32")
    logits = []
    for network in (model, small):
        before = keras.Model(network.inputs, network.layers[-1].input)
        kernel, bias = network.layers[-1].get_weights()
        logits.append(before.predict(images, verbose=0) @ kernel + bias)
    want, found = logits
    classes = found.argmax(1)
    error = ((found - want) ** 2).sum() / ((want - want.mean(0)) ** 2).sum()
    top1 = (classes == dataset.evaluation.labels).mean()
    return [top1, (classes == want.argmax(1)).mean(), error]


def _assert_figures(row, dataset, model, small):
    found = [row[name] for name in ("top1", "agreement", "error")]
    assert found == pytest.approx(_figures(dataset, model, small), abs=1e-4)
    assert row["images"] == 100


def test_both_orders_are_compared_on_other_images():
    model, dataset = _network("softmax"), _dataset()
    rows = list(reports.compare_orders("tiny", model, dataset, 40, 2, [0.5, 0.01]))
    whole, *others = rows
    _assert_figures(whole, dataset, model, model)
    assert (whole["network"], whole["budget"], whole["error"]) == ("tiny", 1.0, 0)
    assert len(others) == 6
    for seed in range(2):
        at_once, in_order, refused = others[3 * seed : 3 * seed + 3]
        assert {row["seed"] for row in (at_once, in_order, refused)} == {seed}
        images = _fitted_to(dataset, seed)
        small = decompose(model, method="responses", budget=0.5, images=images)
        _assert_figures(in_order, dataset, model, small)
        assert at_once["fitted"] != in_order["fitted"]
        assert at_once["error"] != in_order["error"]
        assert "budget" in refused["refused"] and refused["error"] is None


def test_orders_of_layers_made_of_others_and_of_dense_layers():
    """What a plan takes apart is fitted at once as well."""
    model = helpers.chain(
        keras.layers.SeparableConv2D(16, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(24, activation="relu"),
        keras.layers.Dense(3, activation="softmax"),
        side=8,
    )
    rows = list(reports.compare_orders("tiny", model, _dataset(), 60, 1, [0.5]))
    assert [row["budget"] for row in rows] == [1.0, 0.5, 0.5]
    assert all(0 < row["error"] < 2 for row in rows[1:])


def test_both_judges_are_compared_on_other_images():
    """Against what planning by each makes, of networks that end in a softmax."""
    model, dataset = _network("softmax"), _dataset()
    rows = list(reports.compare_judges("tiny", model, dataset, 40, 2, [0.5, 0.01]))
    whole, *others = rows
    assert (whole["part"], whole["agreement"], whole["error"]) == (1, 1, 0)
    asked = [(row["seed"], row["judge"], row["budget"]) for row in others]
    seeds, judges = range(2), ("responses", "outputs")
    assert asked == list(itertools.product(seeds, judges, [0.5, 0.01]))
    for row, refused in zip(others[::2], others[1::2], strict=True):
        small = plan_compression(
            model,
            _fitted_to(dataset, row["seed"]),
            0.5,
            cost="macs",
            ways=("rank",),
            judge=row["judge"],
        ).apply()
        _assert_figures(row, dataset, model, small)
        part = profile(small).macs / profile(model).macs
        assert row["part"] == pytest.approx(part, abs=1e-4) and row["part"] <= 0.5
        assert row["samples"] == 40 and row["cpu_seconds"] >= 0
        assert not row["refused"] and "budget" in refused["refused"]
        assert refused["part"] is None and refused["top1"] is None


@pytest.mark.parametrize("compare", [reports.compare_orders, reports.compare_judges])
@pytest.mark.parametrize(
    ("activation", "classes", "message"),
    [("softmax", 4, "has 4 classes. Received: a model with 3"), ("tanh", 3, "softmax")],
)
def test_networks_that_do_not_tell_these_classes(compare, activation, classes, message):
    rows = compare("tiny", _network(activation), _dataset(classes), 40, 1)
    with pytest.raises(ValueError, match=message):
        next(rows)
