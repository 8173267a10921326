"""Fine-tuning as a function of student and teacher."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots.training import finetuner
from keras_roots.training.data import open_dataset
from keras_roots.training.trainer import Recipe


@pytest.fixture
def arrays(tmp_path):
    with np.load(helpers.colours(tmp_path / "colours.npz", 48)) as held:
        return held["x_train"], held["y_train"]


def accuracy(model, arrays):
    images, labels = arrays
    scores = model.predict(images.astype("float32"), verbose=0)
    return np.mean(scores.argmax(-1) == labels)


def test_a_student_learns_from_labels(arrays):
    student, teacher = helpers.convolutions(), helpers.convolutions()
    before = accuracy(student, arrays)
    recipe = Recipe(1, 8, 0.02)
    train = finetuner(arrays, epochs=6, distillation=0.0, recipe=recipe, verbose=False)
    weights = teacher.get_weights()
    trained = train(student, teacher)
    assert accuracy(trained, arrays) > max(before, 0.6)
    for one, two in zip(weights, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_student_learns_from_its_teacher(arrays):
    """The teacher is wrong everywhere: it says the first class."""
    teacher = helpers.convolutions()
    last = teacher.layers[-1]
    kernel, bias = last.get_weights()
    last.set_weights([0 * kernel, bias + np.array([5.0, 0.0, 0.0], "float32")])
    scores = {}
    for weight in (0.0, 30.0):
        train = finetuner(arrays, epochs=2, distillation=weight, verbose=False)
        keras.utils.set_random_seed(0)
        student = train(helpers.convolutions(), teacher)
        predicted = student.predict(arrays[0].astype("float32"), verbose=0)
        scores[weight] = predicted[:, 0].mean()
    assert scores[30.0] > scores[0.0]


def test_data_sets_by_name_or_at_hand(tmp_path):
    path = helpers.colours(tmp_path / "colours.npz")
    for dataset in (path, open_dataset(path)):
        train = finetuner(dataset, epochs=1, verbose=False)
        student = train(helpers.convolutions(), helpers.convolutions())
        assert student.output_shape == (None, 3)


def arrows(count, seed, side=16):
    """Images of arrows to the left, class 0, and to the right."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, side, side, 3)).astype("uint8")
    labels = np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        row, column = rng.integers(4, side - 6, 2)
        for step in range(4):  # a triangle from its tip
            at = column + (3 - step if label else step)
            image[row - step : row + step + 1, at] = 220
    return images, labels


@pytest.fixture(scope="module")
def reader_of_arrows():
    """A network after so short a training that its moving statistics lag behind."""
    layers = keras.layers
    stack = [keras.Input((16, 16, 3)), layers.Rescaling(1 / 128, -1)]
    for filters, strides in ((16, 1), (32, 2), (32, 2)):
        stack += [
            layers.Conv2D(filters, 3, strides, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(2, activation="softmax")]
    keras.utils.set_random_seed(0)
    model = keras.Sequential(stack)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    images, labels = arrows(240, 0)
    model.fit(images.astype("float32"), labels, batch_size=24, epochs=8, verbose=0)
    return model


@pytest.mark.parametrize("distillation", [0.0, 1.0])
def test_what_a_network_knows_it_keeps(distillation, reader_of_arrows, capsys):
    """No mirroring unless asked for; statistics that fit the weights."""
    tested = arrows(200, 1)
    assert accuracy(reader_of_arrows, tested) > 0.97
    copy = keras.models.clone_model(reader_of_arrows)
    copy.set_weights(reader_of_arrows.get_weights())
    train = finetuner(arrows(240, 0), distillation=distillation, verbose=False)
    assert accuracy(train(copy, reader_of_arrows), tested) > 0.97
    assert "augmentation: none\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epochs": 0}, "`epochs` must be an integer"),
        ({"epochs": True}, "`epochs` must be an integer"),
        ({"distillation": -1}, "`distillation` must be"),
        ({"temperature": 0}, "`temperature` must be"),
        ({"recipe": {"epochs": 1}}, "`recipe` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"data_dir": 3}, "`data_dir` must be a path"),
    ],
)
def test_impossible_arguments(changes, message, arrays):
    with pytest.raises(ValueError, match=message):
        finetuner(arrays, **changes)


def test_what_cannot_be_trained_on(arrays):
    images, labels = arrays
    with pytest.raises(ValueError, match="Images must be uint8"):
        finetuner((images.astype("float32"), labels))
    train = finetuner((images, labels + 1), epochs=1, verbose=False)
    with pytest.raises(ValueError, match="Labels must be from 0 to 2"):
        train(helpers.convolutions(), helpers.convolutions())
    frozen = helpers.convolutions()
    frozen.trainable = False
    with pytest.raises(ValueError, match="`student` must have weights to train"):
        finetuner(arrays, epochs=1)(frozen, helpers.convolutions())


def test_what_is_no_network(arrays):
    train = finetuner(arrays, epochs=1)
    with pytest.raises(ValueError, match="Received: .*None"):
        train(helpers.convolutions(), None)
    with pytest.raises(ValueError, match="Subclassed|subclassed"):
        train(helpers.Subclassed(), helpers.convolutions())


def test_a_data_set_of_other_classes(tmp_path, arrays):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(7, activation="softmax")(x))
    dataset = open_dataset(helpers.colours(tmp_path / "colours.npz"))
    with pytest.raises(ValueError, match="`dataset` must have the 7 classes"):
        finetuner(dataset, epochs=1)(model, model)
