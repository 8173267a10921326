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


def test_folders_have_a_separator(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    expected = datasets.open_dataset(str(folder))
    (folder.parent / "of").mkdir()
    folder.rename(folder.parent / "of" / "cifar10")
    for name in ("of/cifar10", "./of/cifar10", str(folder.parent / "of" / "cifar10")):
        found = datasets.open_dataset(name)
        assert (found.name, found.class_names) == (name, expected.class_names)


@pytest.mark.parametrize("name", ["digits", "cifar10-sample"])
def test_no_folder_or_file_takes_the_place_of_an_embedded_data_set(
    name, folder, monkeypatch
):
    monkeypatch.chdir(folder.parent)
    expected = datasets.open_dataset(name)
    folder.rename(folder.parent / name)
    assert datasets.open_dataset(name).class_names == expected.class_names
    assert datasets.open_dataset(f"./{name}").class_names == ("blue", "red")


@pytest.mark.parametrize(
    "name", ["cifar10", "imagenette/160px-v2", "cifar10:3.0.2", "toy", "toy/config"]
)
def test_no_folder_takes_the_place_of_a_named_data_set(
    name, folder, monkeypatch, tmp_path
):
    monkeypatch.chdir(folder.parent)
    place = folder.parent / name
    place.parent.mkdir(exist_ok=True)
    folder.rename(place)
    opened = []
    for opener in ("open_cifar10", "open_photographs"):
        monkeypatch.setattr(datasets.tfds, opener, lambda *given: opened.append(given))
    prepared = tmp_path / "data"
    if name.startswith("toy"):  # as TensorFlow Datasets leaves it
        (prepared / name / "1.0.0").mkdir(parents=True)
        (prepared / name / "1.0.0" / "dataset_info.json").write_text("{}")
    datasets.open_dataset(name, str(prepared))
    assert len(opened) == 1
    found = datasets.open_dataset(f"./{name}", str(prepared))
    assert found.class_names == ("blue", "red")
    assert len(opened) == 1


def test_a_folder_without_a_separator_is_told_how_to_be_written(
    folder, refusal, monkeypatch
):
    monkeypatch.chdir(folder.parent)
    message = refusal("photos", data_dir="nowhere")
    assert message.endswith("write './photos' for the folder of that name")
    assert "does not exist" in refusal("./nowhere")
    assert "does not exist" in refusal("../nowhere/photos")
