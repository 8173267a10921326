"""What stages are worth beside the original."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots import profile
from keras_roots.compression.evaluation import Evaluation
from keras_roots.convolutions import Samples


def _two_outputs():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="map")(inputs)
    y = keras.layers.Dense(2, name="two")(keras.layers.Flatten()(x))
    return keras.Model(inputs, [x, y])


def _samples(model, count=6):
    images = np.random.default_rng(0).normal(size=(count, 8, 8, 3))
    return Samples.of(model, images)


def test_a_stage_has_its_errors_metric_and_costs():
    model = _two_outputs()
    changed = keras.models.clone_model(model)
    changed.set_weights(model.get_weights())
    kernel, bias = changed.get_layer("two").get_weights()
    changed.get_layer("two").set_weights([0.5 * kernel, 0.5 * bias])
    seen = []

    def metric(network):
        seen.append(network)
        return np.float32(len(seen))

    held_out = _samples(model)
    evaluation = Evaluation(model, held_out, metric)
    assert seen == [model]  # before anything else
    row = evaluation.row("halved", changed)
    assert row["name"] == "halved" and row["agreement"] is None
    assert row["errors"] == {"map": pytest.approx(0), "two": pytest.approx(0.25)}
    assert row["error"] == pytest.approx(0.125)
    assert row["metric"] == 2.0 and evaluation.metric(changed) == 2.0
    assert (row["macs"], row["params"]) == (profile(model).macs, profile(model).params)
    assert "errors" not in Evaluation(*_single()).row("same", _single()[0])


def _single():
    model = helpers.one_layer(keras.layers.ReLU())
    return model, Samples.of(model, np.ones((2, *model.inputs[0].shape[1:])))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda model: None, "must return a finite number .* Received: None for"),
        (lambda model: "good", "must return a finite number .* Received: 'good'"),
        (lambda model: float("nan"), "must return a finite number"),
        (lambda model: np.ones(3), "must return a finite number"),
        (lambda: 1.0, "must be a function of model"),
        (lambda model, images: 1.0, "must be a function of model"),
        (0.5, "must be a function of model"),
    ],
)
def test_a_metric_that_is_none_is_refused_at_once(metric, message):
    model = _two_outputs()
    with pytest.raises(ValueError, match=f"`metric` {message}"):
        Evaluation(model, _samples(model), metric)


@pytest.mark.parametrize("value", [1, np.float64(1), np.ones(()), np.ones((1,))])
def test_numbers_of_any_kind(value):
    model = _two_outputs()
    assert Evaluation(model, _samples(model), lambda m: value).metric(model) == 1.0
    assert Evaluation(model, _samples(model)).metric(model) is None


def test_outputs_that_are_no_numbers():
    model = _two_outputs()
    model.set_weights([np.full(w.shape, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match="`model` must answer `images` with finite"):
        Evaluation(model, _samples(model))
