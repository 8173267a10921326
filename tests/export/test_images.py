import itertools

import keras
import numpy as np
import pytest

from keras_roots.export import images as image_data
from keras_roots.models.nin import RootNiN


def _as_images(data, model):
    return image_data.as_images(data, model, "calibration_data")


def _tensorflow_dataset(array, labels):
    import tensorflow as tf

    content = (array, np.arange(len(array))) if labels else array
    return tf.data.Dataset.from_tensor_slices(content).batch(5)


FORMS = {
    "array": lambda array: array,
    "uint8": lambda array: array.astype("uint8"),
    "keras tensor": lambda array: keras.ops.convert_to_tensor(array),
    "generator": lambda array: (part for part in np.split(array, 2)),
    "pairs": lambda array: [(part, np.zeros(6)) for part in np.split(array, 2)],
    "tf.data": lambda array: _tensorflow_dataset(array, labels=False),
    "tf.data with labels": lambda array: _tensorflow_dataset(array, labels=True),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_images_come_in_many_forms(form, network, images):
    array = images(12).round()
    found = _as_images(form(array), network())
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)


def test_an_endless_data_set_ends(network, images):
    batch = images(400)
    found = _as_images(itertools.repeat(batch), network())
    assert len(found) == image_data.MOST_IMAGES


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (np.zeros((4, 9, 8, 3)), r"shape \(n, 8, 8, 3\).*\(4, 9, 8, 3\)"),
        (np.zeros((8, 8, 3)), r"shape \(n, 8, 8, 3\).*\(8, 8, 3\)"),
        (np.zeros((4, 8, 8, 1)), r"\(4, 8, 8, 1\)"),
        ([np.zeros((8, 8, 3))], r"\(8, 8, 3\)"),
        (np.array([["a"]]), "<U1 array"),
        ({"image": np.zeros((4, 8, 8, 3))}, "Received: dict"),
        ("images.npz", "Received: str"),
        (7, "Received: int"),
        (object(), "Received: object"),
        ([], "one image or more.*\\(0, 8, 8, 3\\)"),
        (np.zeros((0, 8, 8, 3)), "one image or more"),
        (np.full((2, 8, 8, 3), np.nan), "NaN"),
        (np.full((2, 8, 8, 3), np.inf), "infinite"),
        (np.linspace(0, 1, 384).reshape(2, 8, 8, 3), "multiply it by 255"),
        (np.linspace(-2, 2, 384).reshape(2, 8, 8, 3), "do not normalise"),
        (np.linspace(0, 999, 384).reshape(2, 8, 8, 3), "from 0 to 999"),
    ],
)
def test_bad_images_are_refused(data, text, network):
    with pytest.raises(ValueError, match="`calibration_data`.*" + text):
        _as_images(data, network())


def test_a_model_without_normalisation_takes_any_range(network, images):
    array = images(3) / 100 - 1
    np.testing.assert_array_equal(
        _as_images(array, network(normalization=False)), array
    )


def _adapted():
    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (50, 8, 8, 3)))
    return layer


@pytest.mark.parametrize(
    ("first", "pixels"),
    [
        (lambda: keras.layers.Rescaling(1 / 255), True),
        (lambda: keras.layers.Rescaling([0.016, 0.017, 0.015], [-2.0] * 3), True),
        (_adapted, True),
        (lambda: keras.layers.Rescaling(1 / 4096), False),
        (lambda: keras.layers.Rescaling(2.0), False),
        (lambda: keras.layers.Conv2D(3, 1), False),
    ],
)
def test_models_that_take_pixels_are_known_by_their_first_layer(first, pixels):
    model = keras.Sequential([keras.Input((8, 8, 3)), first(), keras.layers.ReLU()])
    assert image_data.takes_pixels(model) is pixels
    nested = keras.Sequential([keras.Input((8, 8, 3)), model])
    assert image_data.takes_pixels(nested) is pixels
    low, high = (0, 255) if pixels else (-8, 8)
    random = image_data.random_images(model)
    assert low <= random.min() < low + 5 and high - 5 < random.max() <= high


def test_the_models_of_the_zoo_take_pixels():
    assert image_data.takes_pixels(RootNiN(root=1))
    assert not image_data.takes_pixels(RootNiN(root=1, include_preprocessing=False))


@pytest.mark.parametrize(
    "model",
    [
        lambda: RootNiN(root=1, include_top=False),
        lambda: keras.Sequential([keras.layers.Dense(3)]),
        lambda: keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)]),
        lambda: keras.Model(
            [keras.Input((8, 8, 3)), other := keras.Input((8, 8, 3))], other
        ),
    ],
    ids=["any size", "not built", "vectors", "two inputs"],
)
def test_a_model_must_take_images_of_one_size(model):
    with pytest.raises(ValueError, match="`model` must be built and take one batch"):
        image_data.image_shape(model())
