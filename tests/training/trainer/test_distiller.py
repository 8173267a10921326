"""Distillation without labels, of networks of any task."""

import re

import helpers
import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.convolutions import Samples
from keras_roots.training import distiller


def network(seed=0, boxes=4, name="any"):
    """Two inputs, not square; a map, classes and boxes; dropout and mirroring."""
    keras.utils.set_random_seed(seed)
    near, far = (
        keras.Input((12, 8, 1), name="near"),
        keras.Input((12, 8, 2), name="far"),
    )
    x = layers.Concatenate()([near, far])
    x = layers.RandomFlip()(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Conv2D(8, 3, padding="same", groups=2, name="second")(x)
    x = layers.BatchNormalization(name="norm")(x)
    pooled = layers.GlobalAveragePooling2D()(layers.ReLU(name="last")(x))
    outputs = {
        "map": layers.Conv2D(1, 1, activation="sigmoid", name="map")(x),
        "classes": layers.Dense(3, activation="softmax", name="classes")(pooled),
        "boxes": layers.Dense(boxes, name="boxes")(pooled),
    }
    model = keras.Model({"near": near, "far": far}, outputs, name=name)
    return helpers.assign_random(model, seed)


def samples(count=60):
    rng = np.random.default_rng(3)
    return {
        "near": rng.normal(size=(count, 12, 8, 1)).astype("float32"),
        "far": rng.normal(2.0, 3.0, (count, 12, 8, 2)).astype("float32"),
    }


def distances(text):
    """Distances on the samples held out: of the start, and of every epoch."""
    return [float(value) for value in re.findall(r"held out (\S+)", text)]


def expected_distance(student, teacher, images, variances, temperature):
    """Mean over the outputs, by NumPy."""
    ours, theirs = (model.predict(images, verbose=0) for model in (student, teacher))
    found = []
    for name, target in theirs.items():
        if name == "classes":
            one, other = (x ** (1 / temperature) for x in (ours[name], target))
            one, other = (x / x.sum(axis=-1, keepdims=True) for x in (one, other))
            kl = (other * np.log(other / one)).sum(axis=-1)
            found.append(temperature**2 * kl.mean())
        else:
            found.append(np.square(ours[name] - target).mean() / variances[name])
    return np.mean(found)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_distance_is_that_of_every_output(temperature, capsys):
    teacher, student = network(0), network(1)
    train = distiller(samples(), epochs=1, temperature=temperature, verbose=False)
    train(student, teacher)
    start, _ = distances(capsys.readouterr().out)
    names = [tensor.name for tensor in teacher.inputs]
    fitted, held_out = (
        dict(zip(names, part.arrays, strict=True))
        for part in Samples.of(teacher, samples()).split(0)
    )
    answers = teacher.predict(fitted, verbose=0)
    variances = {name: values.var() for name, values in answers.items()}
    expected = expected_distance(student, teacher, held_out, variances, temperature)
    assert start == pytest.approx(expected, rel=1e-3)


def test_a_student_equal_to_its_teacher_stays_as_it_is(capsys):
    """Statistics of batches, dropout or mirroring would keep them apart."""
    teacher = network()
    trained = distiller(samples(), epochs=2, verbose=False)(teacher, teacher)
    assert distances(capsys.readouterr().out)[0] == pytest.approx(0.0, abs=1e-9)
    images = samples()
    for name, answers in trained.predict(images, verbose=0).items():
        expected = teacher.predict(images, verbose=0)[name]
        np.testing.assert_allclose(answers, expected, atol=1e-4)


def test_a_student_nears_its_teacher_in_every_output(capsys):
    teacher, student = network(0), network(1)
    weights = [model.get_weights() for model in (teacher, student)]
    train = distiller(samples(), epochs=30, learning_rate=0.01, verbose=False)
    trained = train(student, teacher)
    start, *_, end = distances(capsys.readouterr().out)
    assert end < 0.5 * start
    images = samples()
    theirs, before, after = (
        model.predict(images, verbose=0) for model in (teacher, student, trained)
    )
    for name, target in theirs.items():
        errors = [np.square(x[name] - target).mean() for x in (after, before)]
        assert errors[0] < 0.6 * errors[1], name
    for model, kept in zip((teacher, student), weights, strict=True):
        for one, two in zip(model.get_weights(), kept, strict=True):
            np.testing.assert_array_equal(one, two)
    assert trained is not student
    moving = [x for x in trained.get_layer("norm").get_weights()[2:]]
    for one, two in zip(
        moving, student.get_layer("norm").get_weights()[2:], strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_features_are_matched_too(capsys):
    teacher, student = network(0), network(1)
    images, errors = samples(), {}
    for features in ((), ("last",)):
        how = {"epochs": 20, "learning_rate": 0.01, "verbose": False}
        trained = distiller(images, features=features, **how)(student, teacher)
        ours, theirs = (
            keras.Model(model.input, model.get_layer("last").output).predict(
                images, verbose=0
            )
            for model in (trained, teacher)
        )
        errors[features] = np.square(ours - theirs).mean()
    assert errors["last",] < 0.8 * errors[()]


def test_the_best_epoch_counts(capsys):
    """A rate far too high: the student of the start is better than any that follows."""
    teacher, student = network(0), network(0)
    last = student.get_layer("boxes")
    last.set_weights([1.001 * weight for weight in last.get_weights()])
    train = distiller(samples(), epochs=2, learning_rate=3.0, verbose=False)
    trained = train(student, teacher)
    start, *after = distances(capsys.readouterr().out)
    assert min(after) > start
    for one, two in zip(trained.get_weights(), student.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def _as_dataset(arrays):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(arrays).batch(16)


@pytest.mark.parametrize(
    "form",
    [
        lambda arrays: (arrays["far"], arrays["near"]),  # keys are sorted
        lambda arrays: iter([(arrays, np.zeros(60))]),
        _as_dataset,
    ],
    ids=["tuple", "generator with labels", "tf.data"],
)
def test_samples_of_any_kind(form, capsys):
    train = distiller(form(samples()), epochs=1, verbose=False)
    train(network(1), network(0))
    assert len(distances(capsys.readouterr().out)) == 2


def test_one_output_of_one_channel(capsys):
    inputs = keras.Input((9, 7, 1))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    teacher = helpers.assign_random(keras.Model(inputs, layers.Conv2D(1, 1)(x)))
    images = np.random.default_rng(0).normal(0, 1000, (40, 9, 7, 1))
    student = keras.models.clone_model(teacher)
    trained = distiller(images, epochs=3, verbose=False)(student, teacher)
    start, *_, end = distances(capsys.readouterr().out)
    assert end < start
    assert trained.output_shape == teacher.output_shape


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epochs": 0}, "`epochs` must be an integer"),
        ({"temperature": 0}, "`temperature` must be"),
        ({"learning_rate": 0}, "`learning_rate` must be"),
        ({"batch_size": 1.5}, "`batch_size` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"features": "last"}, "`features` must be names"),
        ({"features": (3,)}, "`features` must be names"),
    ],
)
def test_impossible_arguments(changes, message):
    with pytest.raises(ValueError, match=message):
        distiller(samples(), **changes)


@pytest.mark.parametrize(
    "student, how, message",
    [
        (lambda: network(boxes=5), {}, "inputs and outputs of the teacher"),
        (helpers.Subclassed, {}, "ubclassed"),
        (lambda: network(), {"features": ("none",)}, "Received: 'none', with the sha"),
        (lambda: network(), {"images": np.zeros((4, 3))}, "`images` must be a tuple"),
        (lambda: network(), {"images": None}, "`images` must be"),
    ],
)
def test_what_does_not_fit(student, how, message):
    how = {"images": samples(), **how}
    with pytest.raises(ValueError, match=message):
        distiller(**how)(student(), network())


def test_a_frozen_student():
    frozen = network()
    frozen.trainable = False
    with pytest.raises(ValueError, match="`student` must have weights to train"):
        distiller(samples())(frozen, network())


def test_diverging():
    train = distiller(samples(), epochs=2, learning_rate=1e30, verbose=False)
    with pytest.raises(FloatingPointError, match="Try a lower `learning_rate`"):
        train(network(1), network(0))
