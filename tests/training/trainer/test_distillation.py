import dataclasses

import helpers
import keras
import numpy as np
import pytest

from keras_roots.convolutions import recalibrate
from keras_roots.training import data
from keras_roots.training.trainer import distillation
from keras_roots.training.trainer.prepare import compile_model, prepare
from keras_roots.training.trainer.prepare import logits as logits_
from keras_roots.training.trainer.recipes import Recipe

RECIPE = Recipe(1, 4, 0.1, weight_decay=0.0)


def classifier(classes=3, name="net"):
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(5, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    outputs = keras.layers.Dense(classes, activation="softmax", name="top")(x)
    return keras.Model(inputs, outputs, name=name)


def softened(logits, temperature):
    scores = np.exp(logits / temperature)
    return scores / scores.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("weight, temperature", [(0.5, 1.0), (2.0, 4.0)])
def test_the_loss_is_hintons(weight, temperature):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, 4, 4, 2)).astype("float32")
    student, teacher = logits_(classifier()), recalibrate(classifier(), images)
    before = teacher.get_weights()
    how = {"weight": weight, "temperature": temperature, "images": images}
    model = distillation.with_teacher(student, teacher, RECIPE, **how)
    ours = np.asarray(student(images))
    theirs = np.asarray(logits_(teacher)(images))
    p, q = softened(theirs, temperature), softened(ours, temperature)
    want = weight * temperature**2 * (p * np.log(p / q)).sum(axis=-1).mean()
    targets = np.eye(3)[rng.integers(0, 3, 6)]
    cross = -(targets * np.log(softened(ours, 1.0))).sum(axis=-1).mean()
    compile_model(model, dataclasses.replace(RECIPE, momentum=0.0), 10)
    found = model.evaluate(images, targets, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(cross + want, rel=1e-4)
    np.testing.assert_allclose(np.asarray(model(images)), ours, rtol=1e-6)
    model.train_on_batch(images, targets)
    for now, weights in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, weights)
    assert "teacher" not in {v.path.split("/")[0] for v in model.trainable_variables}


@pytest.mark.parametrize("augmentation", ["none", "pad_crop"])
def test_statistics_are_of_images_as_they_are_trained_on(augmentation):
    """Shifted images show black borders, which no image has."""
    pixels = np.full((20, 8, 8, 3), 200, "uint8") + np.arange(20)[:, None, None, None]
    split = data.Arrays(pixels.astype("uint8"), np.arange(20) % 2)
    dataset = data.Dataset("own", ("a", "b"), split, split, split, 8)
    recipe = dataclasses.replace(RECIPE, batch_size=6, augmentation=augmentation)
    found = distillation.statistics_images(helpers.convolutions(), dataset, recipe, 0)
    assert (found.shape, found.dtype) == ((18, 8, 8, 3), "float32")
    assert len(np.unique(found.max(axis=(1, 2, 3)))) == 18
    borders = found == 0
    assert borders.any() == (augmentation == "pad_crop")
    assert (found[~borders] >= 200).all()
    large = dataclasses.replace(recipe, batch_size=64)
    found = distillation.statistics_images(helpers.convolutions(), dataset, large, 0)
    assert len(found) == 20


def test_a_teacher_that_teaches_alone():
    """The labels' loss is shown, and moves nothing."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, 4, 4, 2)).astype("float32")
    student, teacher = logits_(classifier()), classifier()
    dropout = next(x for x in student.layers if isinstance(x, keras.layers.Dropout))
    dropout.rate = 0.0  # so that both trainings are the same
    start, found = student.get_weights(), []
    for labels in ([0, 1, 2, 0, 1, 2], [2, 2, 2, 1, 0, 0]):
        student.set_weights(start)
        model = distillation.with_teacher(
            student, teacher, RECIPE, images=images, alone=True
        )
        optimizer = keras.optimizers.SGD(0.1)
        model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True))
        loss = model.train_on_batch(images, np.eye(3)[labels])
        found.append((loss, student.get_weights()))
    assert found[0][0] != found[1][0]
    for one, two in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(one, two)
    moved = [np.abs(a - b).max() for a, b in zip(start, found[0][1], strict=True)]
    assert max(moved) > 1e-3


def test_a_student_nears_its_teacher():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 4, 4, 2)).astype("float32")
    student, teacher = logits_(classifier()), classifier()
    model = distillation.with_teacher(student, teacher, RECIPE, images=images)
    layer = model.get_layer("distillation")
    model.compile(keras.optimizers.Adam(0.01), loss=lambda y, p: 0.0 * p[..., 0])
    history = model.fit(images, np.zeros((64, 3)), epochs=15, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    copy = distillation.Distillation.from_config(layer.get_config())
    assert (copy.weight, copy.temperature, copy.alone) == (1.0, 2.0, False)


def test_a_teacher_is_in_inference_mode():
    student = logits_(classifier())
    images = np.random.default_rng(0).normal(size=(4, 4, 4, 2))
    images = images.astype("float32")
    model = distillation.with_teacher(student, classifier(), RECIPE, images=images)
    teacher = keras.Model(model.inputs, model.get_layer("distillation").input[1])
    once, again = (np.asarray(teacher(images, training=True)) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_other_classes_are_refused():
    images = np.zeros((2, 4, 4, 2), "float32")
    with pytest.raises(ValueError, match="`teacher` must have the student's"):
        distillation.with_teacher(
            logits_(classifier()), classifier(4), RECIPE, images=images
        )


def test_a_teacher_with_lagging_statistics_draws_no_equal_student_away():
    """After a short training, moving averages are not those of the batches."""
    rng = np.random.default_rng(0)
    images = rng.normal(3.0, 5.0, (64, 4, 4, 2)).astype("float32")
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(8, 3, name="conv")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="bn")(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    top = keras.layers.Dense(3, kernel_initializer="normal", name="top")
    teacher = keras.Model(inputs, top(x))
    top.set_weights([rng.normal(size=(8, 3)), np.zeros(3)])
    trainee = distillation.with_teacher(
        logits_(teacher), teacher, RECIPE, images=images
    )
    trainee(images, training=True)
    (fitted,) = trainee.losses
    assert float(fitted) < 1e-4
    lagging = distillation.divergence(
        teacher(images, training=True), teacher(images, training=False)
    )
    assert float(np.mean(lagging)) > 0.1


def test_inference_is_that_of_a_deployed_model():
    """No dropout, no statistics of batches, but gradients to every weight."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 4, 4, 2)).astype("float32")
    inside = helpers.assign_random(classifier())
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, distillation.Inference(inside)(inputs))
    expected = np.asarray(inside(images, training=False))
    np.testing.assert_allclose(model(images, training=True), expected, atol=1e-6)
    before = {w.path: w.numpy() for w in inside.weights}
    model.compile("sgd", "mse")
    model.fit(images, np.zeros((8, 3)), verbose=0)
    for weight in inside.weights:
        same = np.array_equal(weight, before[weight.path])
        assert same == ("moving" in weight.path or "seed" in weight.path), weight.path


@pytest.mark.parametrize("size", [3, 4])
def test_a_teacher_sees_images_of_the_students_size(size):
    recipe = dataclasses.replace(RECIPE, initial_size=3)
    student = prepare(classifier(), recipe)
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 2)).astype("float32")
    model = distillation.with_teacher(student, classifier(), recipe, images=images)
    assert model(np.zeros((2, size, size, 2))).shape == (2, 3)
