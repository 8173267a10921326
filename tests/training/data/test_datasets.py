"""Data sets by name and from options."""

import numpy as np
import pytest

from keras_roots.training.data import datasets


def test_digits_are_embedded_and_always_split_alike():
    digits = datasets.open_dataset("digits")
    assert digits.class_names == tuple("0123456789")
    assert (digits.train.count, digits.test.count) == (1438, 359)
    assert digits.train.images.shape[1:] == (32, 32, 3)
    assert digits.train.images.max() == 255
    again = datasets.open_dataset("digits")
    np.testing.assert_array_equal(digits.test.images, again.test.images)
    assert digits.evaluation is digits.test


@pytest.mark.parametrize("cls", [datasets.Location, datasets.Source])
def test_a_data_set_from_options(cls, npz, monkeypatch):
    path, arrays = npz
    assert cls(dataset=path).open().train.count == len(arrays["x_train"])
    given = []
    monkeypatch.setattr(datasets, "open_dataset", lambda *values: given.append(values))
    cls(dataset="cifar10", data_dir="there").open()
    assert given[0][:2] == ("cifar10", "there")


def test_options_hold_images_out(npz):
    path, arrays = npz
    opened = datasets.Source(dataset=path, holdout=5).open()
    assert (opened.train.count, opened.evaluation.count) == (15, 5)
    with pytest.raises(ValueError, match="`holdout` must be at least 0"):
        datasets.Source(holdout=-1)


@pytest.mark.parametrize("count", [3, 5])
def test_sample_images(folder, npz, count):
    for name in (npz[0], str(folder), "digits"):
        images = datasets.sample_images(name, count, image_size=16)
        assert images.shape == (count, 16, 16, 3)
        assert images.dtype == np.float32
        assert images.max() > 1


@pytest.mark.parametrize(
    ("argument", "value"), [("split", "evaluation"), ("count", 0), ("count", True)]
)
def test_impossible_samples(argument, value):
    arguments = {"count": 3} | {argument: value}
    with pytest.raises(ValueError, match=f"`{argument}` must be"):
        datasets.sample_images("digits", **arguments)


@pytest.mark.parametrize(
    ("own", "given", "shape"),
    [(8, None, (8, 8, 3)), (8, 16, (16, 16, 3)), (None, None, None)],
)
def test_arguments_of_a_model(own, given, shape):
    dataset = datasets.Dataset("mine", ("a", "b"), None, None, None, own)
    arguments = (
        {"classes": 2} if shape is None else {"classes": 2, "input_shape": shape}
    )
    assert datasets.model_arguments(dataset, given) == arguments


def test_unknown_names_are_refused(refusal, tmp_path):
    assert "does not exist" in refusal(tmp_path / "nowhere")
    assert "does not exist" in refusal(tmp_path / "nowhere.npz")
    assert "Received: dataset='no_such_set'" in refusal(
        "no_such_set", data_dir=str(tmp_path)
    )
