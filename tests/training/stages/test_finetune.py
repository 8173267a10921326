"""The training of a cheaper network, by a teacher and in segments."""

import dataclasses

import helpers
import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.training.data import open_dataset, open_unlabelled
from keras_roots.training.stages import finetune
from keras_roots.training.stages.context import Context
from keras_roots.training.stages.decompose import Decompose, Decomposition
from keras_roots.training.stages.finetune import Distil, FineTune, FineTuning
from keras_roots.training.stages.stage import Keep, run
from keras_roots.training.trainer import Recipe

RECIPE = Recipe(3, 8, 0.02, warmup=0.1)


@pytest.fixture
def context(tmp_path):
    dataset = open_dataset(helpers.colours(tmp_path / "colours.npz"))
    return Context(dataset, tmp_path / "run", say=lambda line: None, verbose=False)


def decomposed():
    return keras_roots.decompose(helpers.convolutions(), 0.1)


def test_distillation_and_shrinking_go_on_where_they_were(context):
    """Two segments, each smaller than the one before, in one course of training."""
    settings = FineTuning(distillation=1.0, shrink_every=1, shrink_error=0.3)
    course = [Keep("baseline"), FineTune(recipe=RECIPE, settings=settings)]
    network = decomposed()
    outcome = run(course, context, lambda: network, {})
    folder = context.folder / "finetune"
    macs = [
        keras_roots.profile(keras.models.load_model(path, compile=False)).macs
        for path in (
            context.folder / "baseline" / "model.keras",
            folder / "segment0" / "shrunk.keras",
            folder / "segment1" / "shrunk.keras",
            folder / "model.keras",
        )
    ]
    assert macs[0] > macs[1] > macs[2] == macs[3]
    logs = [folder / "segment0", folder / "segment1", folder]
    epochs = [
        [row["epoch"] for row in helpers.read_rows(log / "log.csv")] for log in logs
    ]
    assert epochs == [["1"], ["2"], ["3"]]
    names = [layer.name for layer in outcome.model("finetune").layers]
    assert "teacher" not in names
    # As if it had been stopped after the first segment.
    whole = outcome.model("finetune").get_weights()
    for name in ("model.keras", "result.json", "last.weights.h5", "log.csv"):
        (folder / name).unlink()
    for name in ("shrunk.keras", "shrunk.weights.h5", "last.weights.h5", "log.csv"):
        (folder / "segment1" / name).unlink()
    again = run(course, context, lambda: network, {})
    for one, two in zip(whole, again.model("finetune").get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=2e-3)


def test_the_teacher_decides(context, tmp_path):
    """A student is nearer to its teacher's answers with distillation than without."""
    teacher = helpers.convolutions()
    last = teacher.layers[-1]
    kernel, bias = last.get_weights()
    last.set_weights([0 * kernel, bias + np.array([3.0, 0.0, 0.0], "float32")])
    images = context.sample(teacher, 24)
    scores = {}
    for weight in (0.0, 20.0):
        own = dataclasses.replace(context, folder=tmp_path / str(weight))
        course = [
            Keep("baseline"),
            FineTune(recipe=RECIPE, settings=FineTuning(distillation=weight)),
        ]
        outcome = run(course, own, lambda: teacher, {})
        student = outcome.model("finetune")
        scores[weight] = student.predict(images, verbose=0)[:, 0].mean()
    assert scores[20.0] > scores[0.0]


def test_trainings_from_the_model_of_an_earlier_stage(context):
    """Each starts from the decomposed network, whatever was trained in between."""
    recipe = dataclasses.replace(RECIPE, learning_rate=1e-9, weight_decay=0.0)
    decompose = Decompose(settings=Decomposition(error=0.3, recalibration_images=16))
    course = [
        Keep("baseline"),
        decompose,
        FineTune("far", recipe=RECIPE),
        FineTune("near", recipe=recipe, start="decompose"),
    ]
    outcome = run(course, context, helpers.convolutions, {})
    assert outcome.result("near")["train_images"] == 40
    start, far, near = (
        outcome.model(name).get_layer("wide").get_weights()[0]
        for name in ("decompose", "far", "near")
    )
    np.testing.assert_allclose(near, start, atol=1e-6)
    assert np.abs(far - start).max() > 1e-3


@pytest.mark.parametrize(
    "settings, recipe, message",
    [
        ({"shrink_error": 0.0}, {}, "`shrink_error` must be"),
        (
            {"distillation_only": True},
            {},
            "`distillation_only` needs a distillation above 0.*distillation=None",
        ),
        ({"shrink_every": 1}, {"ema": 0.9}, "cannot be combined with a moving average"),
        ({"shrink_every": 1}, {"patience": 2}, "`patience`: it shrinks.*patience=2"),
    ],
)
def test_impossible_settings(settings, recipe, message, context):
    stage = FineTune(
        recipe=dataclasses.replace(RECIPE, **recipe), settings=FineTuning(**settings)
    )
    with pytest.raises(ValueError, match=message):
        run([Keep("baseline"), stage], context, helpers.convolutions, {})
    assert not context.folder.exists()


def test_without_labels_the_original_teaches(context, tmp_path):
    teacher = helpers.assign_random(helpers.convolutions())
    images = helpers.pixels(60, 8)
    np.savez(tmp_path / "images.npz", images)
    samples = open_unlabelled(str(tmp_path / "images.npz"), teacher)
    own = dataclasses.replace(context, dataset=samples)
    settings = Decomposition(error=0.4, recalibration_images=16)
    course = [
        Keep("baseline"),
        Decompose(settings=settings),
        Distil(epochs=4, learning_rate=3e-3),
    ]
    outcome = run(course, own, lambda: teacher, {})
    before, after = (outcome.result(name) for name in ("decompose", "finetune"))
    assert after["error"] < before["error"]
    assert "top1" not in after
    assert after["epochs"] == 4
    expected, found = (
        model.predict(samples.held_out.arrays[0], verbose=0)
        for model in (teacher, outcome.model("finetune"))
    )
    error = np.square(expected - found).sum() / np.square(expected).sum()
    assert after["error"] == pytest.approx(error, rel=1e-3)


def test_statistics_are_those_of_the_training(context):
    """Of images that are varied as the recipe says, for student and teacher."""
    images = helpers.pixels(1, 8)
    seen = []

    def statistics_images(model, dataset, recipe, seed):
        seen.append((dataset, recipe.augmentation))
        return np.repeat(images, 8, axis=0)

    recipe = dataclasses.replace(RECIPE, epochs=1, augmentation="pad_crop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune.trainer, "statistics_images", statistics_images)
        course = [
            Keep("baseline"),
            FineTune(recipe=recipe, settings=FineTuning(distillation=1.0)),
        ]
        outcome = run(course, context, helpers.convolutions, {})
    assert seen == [(context.dataset, "pad_crop")] * 2  # the student's, the teacher's
    network = outcome.model("finetune")
    norm = network.get_layer("norm")
    before = keras.Model(network.inputs, norm.input)(images.astype("float32"))
    mean = np.asarray(before).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-3, atol=1e-4)
