"""What is read from the folders of a run."""

import json

import helpers
import numpy as np

from keras_roots.training.stages.outcome import Outcome

NAMES = ("baseline", "decompose", "finetune")


def _done(folder, name, **result):
    (folder / name).mkdir()
    (folder / name / "result.json").write_text(json.dumps({"stage": name, **result}))


def test_a_run_that_has_left_nothing(tmp_path):
    outcome = Outcome(tmp_path / "none", NAMES)
    assert outcome.done == [] and outcome.missing == list(NAMES)
    assert outcome.last() == outcome.result("decompose") == {}
    assert outcome.log("baseline") == []


def test_what_is_done_and_what_is_missing(tmp_path):
    (tmp_path / "finetune").mkdir()  # stopped before its result
    _done(tmp_path, "baseline", macs=5)
    _done(tmp_path, "decompose", macs=3)
    outcome = Outcome(tmp_path, NAMES)
    assert outcome.done == ["baseline", "decompose"]
    assert outcome.missing == ["finetune"]
    assert outcome.result("baseline") == {"stage": "baseline", "macs": 5}
    assert outcome.last() == {"stage": "decompose", "macs": 3}


def test_the_model_and_the_log_of_a_stage(tmp_path):
    _done(tmp_path, "baseline")
    (tmp_path / "baseline" / "log.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    model = helpers.assign_random(helpers.scores())
    model.save(tmp_path / "baseline" / "model.keras")
    outcome = Outcome(tmp_path, NAMES)
    assert [float(row["loss"]) for row in outcome.log("baseline")] == [0.5, 0.25]
    images = np.random.default_rng(0).normal(size=(3, 4, 4, 3))
    found = outcome.model("baseline")(images)
    np.testing.assert_allclose(found, model(images), rtol=1e-5)
