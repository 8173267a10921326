import warnings

import keras
import numpy as np
import pytest

from keras_roots.export import InputRangeWarning
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


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (np.zeros((4, 9, 8, 3)), r"\(4, 9, 8, 3\)"),
        (np.zeros((4, 8, 8, 1)), r"\(4, 8, 8, 1\)"),
        ("images.npz", "str"),
        (7, "int"),
        (np.zeros((0, 8, 8, 3)), "one image or more"),
        (np.full((2, 8, 8, 3), np.nan), "NaN"),
    ],
)
def test_bad_images_are_refused(data, text, network):
    with pytest.raises(ValueError, match="`calibration_data`.*" + text):
        _as_images(data, network())


def test_images_normalised_before_the_model_does_it_are_warned_of(network, images):
    array = images(8)
    with pytest.warns(InputRangeWarning, match="`calibration_data`.*normalised"):
        found = _as_images(array / 127.5 - 1, network())
    np.testing.assert_allclose(found, array / 127.5 - 1, rtol=1e-6)


def test_a_model_without_normalisation_takes_any_range(network, images):
    array = images(3) / 100 - 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = _as_images(array, network(normalization=False))
    np.testing.assert_array_equal(found, array)


def test_random_integers_are_pixels_where_those_are_expected():
    pixels = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(pixels, keras.layers.Rescaling(1 / 255)(pixels))
    found = image_data.random_images(model, 50)
    assert found.dtype == "uint8" and found.min() < 5 and found.max() > 250


def test_random_images_are_what_a_model_expects(network):
    found = image_data.random_images(RootNiN(root=1), 50)
    # Pixels, as the means and deviations of CIFAR-10 in its first layer have it.
    assert -20 < found.min() < 20 and 200 < found.max() < 300
    for model in (
        RootNiN(root=1, include_preprocessing=False),
        network(normalization=False),
    ):
        found = image_data.random_images(model, 50)
        np.testing.assert_allclose((found.mean(), found.std()), (0, 1), atol=0.05)


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
