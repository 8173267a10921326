"""Networks whose files take no more than a part of the time.

Times are of a made-up machine, on which a network takes as long as it has multiply-adds
and int8 half of that: what is tested is that budgets are met, not this machine.
"""

import helpers
import keras
import numpy as np
import pytest

from keras_roots import profile
from keras_roots.compression.evaluation import Evaluation
from keras_roots.compression.meet_budget import meet_budget
from keras_roots.convolutions import Samples


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Times by multiply-adds."""
    helpers.made_up_machine(monkeypatch)


@pytest.fixture(scope="module")
def trained():
    """A network, and the images that it knows."""
    return helpers.knows_colours()


def _meet(trained, budget, quantize=(None, "int8"), say=None, **arguments):
    model, images = trained
    return meet_budget(
        model,
        images[:60],
        budget,
        quantize=quantize,
        say=say or [].append,
        **arguments,
    )


def _part(small, model):
    return profile(small).macs / profile(model).macs


def test_int8_alone_is_enough_for_a_budget_that_it_meets(trained):
    met = _meet(trained, 0.6, ("int8",))
    assert (met.quantize, met.plan, met.rows) == ("int8", None, ())
    assert met.model is trained[0] and met.ratio == pytest.approx(0.5)
    assert met.fidelity.agreement > 0.9


@pytest.mark.parametrize(
    ("quantize", "half", "ways"),
    [
        (None, 1.0, ("groups", "rank")),
        (None, 1.0, ("groups",)),
        (None, 1.0, ("rank",)),
        ("int8", 0.5, ("groups", "rank")),
    ],
)
def test_the_budget_is_met_by_the_whole_network(trained, quantize, half, ways):
    met = _meet(trained, 0.6 * half, (quantize,), ways=ways)
    assert met.quantize == quantize
    assert 0.4 < _part(met.model, trained[0]) <= 0.6
    assert met.ratio == pytest.approx(half * _part(met.model, trained[0]), rel=0.02)
    assert {row.way for row in met.plan.layers} - {None} <= set(ways)


def test_plans_are_corrected_by_what_is_measured(trained):
    """Layers outside of convolutions take a tenth: nobody told the planner."""
    lines = []
    met = _meet(trained, 0.5, (None,), lines.append, judge="responses")
    assert any("a plan for" in line for line in lines)
    assert 0.4 < met.ratio <= 0.5


def test_what_cannot_be_met_says_what_can(trained):
    message = r"`budget` cannot be met: float32 reaches 0\.\d+ of"
    with pytest.raises(ValueError, match=message):
        _meet(trained, 0.01, (None,))


def test_it_leaves_the_network_alone(trained):
    before = [weight.copy() for weight in trained[0].get_weights()]
    assert _meet(trained, 0.5, (None,)).plan is not None
    for weight, same in zip(trained[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)


def test_files_are_compared_on_images_held_out(trained):
    """On which the network answers one class only."""
    held_out = Samples.of(trained[0], np.zeros((4, 8, 8, 3), "float32"))
    evaluation = Evaluation(trained[0], held_out)
    met = _meet(trained, 0.5, ("int8",), evaluation=evaluation)
    assert met.fidelity.agreement in (0.0, 1.0)


def test_a_network_that_is_no_classifier_is_judged_by_its_outputs(trained):
    model, images = trained
    maps = keras.Model(model.inputs[0], model.get_layer("mix").output)
    met = _meet((maps, images), 0.5)
    assert met.fidelity.agreement is None
    assert met.fidelity.error < 0.2
    assert met.quantize == "int8"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 1.5}, "`budget` must be a number"),
        ({"quantize": ()}, "`quantize` must be of"),
        ({"quantize": ("dynamic",)}, "`quantize` must be of"),
        ({"ways": ("prune",)}, "`ways` must be of"),
        ({"threads": 0}, "`threads` must be an integer, 1 or more"),
        ({"latency_table": 5}, "`latency_table` must be a path or None"),
        ({"seed": -1}, "`seed` must be an integer, 0 or more"),
        ({"ways": ("rank", "rank")}, "`ways` must name each only once"),
        ({"target": "z80"}, "`target` must be one of"),
        ({"judge": "taste"}, "`judge` must be one of"),
    ],
)
def test_bad_arguments(trained, arguments, message):
    with pytest.raises(ValueError, match=message):
        _meet(trained, **{"budget": 0.5, **arguments})


def test_stages_are_measured_and_recalibration_is_kept_if_it_helps(trained):
    lines = []
    met = _meet(trained, 0.5, (None,), lines.append, judge="responses")
    fitted, recalibrated = met.rows
    assert (fitted["name"], recalibrated["name"]) == ("fitted", "recalibrated")
    images = trained[1][:60]
    expected, found = (x.predict(images, verbose=0) for x in (trained[0], met.model))
    error = np.square(expected - found).sum() / np.square(expected).sum()
    assert error == pytest.approx(min(r["error"] for r in met.rows), rel=1e-3)
    helps = recalibrated["error"] <= fitted["error"]
    assert helps != any("not recalibrated" in line for line in lines)


def test_recalibration_that_does_harm_is_not_kept(trained, monkeypatch):
    def recalibrate(model, images):
        copy = keras.models.clone_model(model)  # of random weights
        return copy

    monkeypatch.setattr("keras_roots.convolutions.recalibrate", recalibrate)
    lines = []
    met = _meet(trained, 0.5, (None,), lines.append, judge="responses")
    assert met.rows[1]["error"] > met.rows[0]["error"]
    assert any(line.startswith("not recalibrated: outputs") for line in lines)
    assert met.fidelity.error == pytest.approx(met.rows[0]["error"], rel=0.01)


def test_what_the_converter_refuses_is_said(trained, monkeypatch):
    from keras_roots import export

    real = export.export_tflite

    def refuses(model, path, quantize=None, *args, **kwargs):
        if quantize == "int8":
            raise export.ExportError("it is so")
        return real(model, path, quantize, *args, **kwargs)

    monkeypatch.setattr(export, "export_tflite", refuses)
    lines = []
    assert _meet(trained, 0.6, say=lines.append).quantize is None
    assert "int8 it is so" in lines
