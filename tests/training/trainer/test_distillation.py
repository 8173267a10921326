import dataclasses

import keras
import numpy as np
import pytest

from keras_roots.training.trainer import distillation
from keras_roots.training.trainer.prepare import compile_model
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
    student, teacher = logits_(classifier()), classifier()
    before = teacher.get_weights()
    model = distillation.with_teacher(student, teacher, RECIPE, weight, temperature)
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


def test_a_student_nears_its_teacher():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 4, 4, 2)).astype("float32")
    student, teacher = logits_(classifier()), classifier()
    model = distillation.with_teacher(student, teacher, RECIPE, weight=1.0)
    layer = model.get_layer("distillation")
    model.compile(keras.optimizers.Adam(0.01), loss=lambda y, p: 0.0 * p[..., 0])
    history = model.fit(images, np.zeros((64, 3)), epochs=15, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    copy = distillation.Distillation.from_config(layer.get_config())
    assert (copy.weight, copy.temperature) == (1.0, 2.0)


def test_a_teacher_is_in_inference_mode():
    student = logits_(classifier())
    model = distillation.with_teacher(student, classifier(), RECIPE)
    images = np.random.default_rng(0).normal(size=(4, 4, 4, 2))
    images = images.astype("float32")
    teacher = keras.Model(model.inputs, model.get_layer("distillation").input[1])
    once, again = (np.asarray(teacher(images, training=True)) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_other_classes_are_refused():
    with pytest.raises(ValueError, match="`teacher` must have the student's"):
        distillation.with_teacher(logits_(classifier()), classifier(4), RECIPE)
