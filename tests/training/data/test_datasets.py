from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_roots.training.data import augment, datasets
from keras_roots.training.data import batches as pipeline
from keras_roots.training.data.splits import crop


def _write(path, colour, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Ten red and ten blue photographs of two formats and sizes."""
    for i in range(10):
        suffix = "jpg" if i % 2 else "png"
        _write(tmp_path / "photos" / "red" / f"{i}.{suffix}", (255, 0, 0))
        _write(tmp_path / "photos" / "blue" / f"{i}.{suffix}", (0, 0, 255), (20, 30))
    return tmp_path / "photos"


@pytest.fixture
def npz(tmp_path):
    generator = np.random.default_rng(0)
    arrays = {
        f"{name}_{split}": values
        for split, count in (("train", 20), ("test", 6))
        for name, values in (
            ("x", generator.integers(0, 256, (count, 8, 8, 3), "uint8")),
            ("y", np.arange(count) % 3),
        )
    }
    np.savez(tmp_path / "toy.npz", **arrays)
    return str(tmp_path / "toy.npz"), arrays


def _all(split, batch_size=4, size=8):
    images, labels = zip(*split.batches(batch_size, size), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_digits_are_embedded_and_split_once_and_for_all():
    digits = datasets.open_dataset("digits")
    assert digits.class_names == tuple("0123456789")
    assert (digits.train.count, digits.test.count) == (1438, 359)
    assert digits.train.images.shape[1:] == (32, 32, 3)
    assert digits.train.images.max() == 255
    again = datasets.open_dataset("digits")
    np.testing.assert_array_equal(digits.test.images, again.test.images)
    assert digits.evaluation is digits.test


def test_npz(npz):
    path, arrays = npz
    opened = datasets.open_dataset(path)
    images, labels = _all(opened.test)
    np.testing.assert_array_equal(images, arrays["x_test"])
    np.testing.assert_array_equal(labels, arrays["y_test"])
    assert opened.class_names == ("0", "1", "2")


def test_holdout_is_taken_from_the_training_images(npz):
    path, arrays = npz
    opened = datasets.open_dataset(path, holdout=5)
    assert (opened.train.count, opened.evaluation.count) == (15, 5)
    together = np.concatenate([opened.train.images, opened.evaluation.images])
    rows = {image.tobytes() for image in arrays["x_train"]}
    assert {image.tobytes() for image in together} == rows
    np.testing.assert_array_equal(opened.test.images, arrays["x_test"])


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


def test_folder_without_splits_keeps_a_fifth_for_testing(folder):
    opened = datasets.open_dataset(str(folder))
    assert opened.class_names == ("blue", "red")
    assert (opened.train.count, opened.test.count) == (16, 4)
    images, labels = _all(opened.train)
    assert images.shape == (16, 8, 8, 3)
    colours = np.where(labels[:, None] == 1, (255, 0, 0), (0, 0, 255))
    np.testing.assert_allclose(images.mean((1, 2)), colours, atol=3)


def test_folder_with_splits(folder, tmp_path):
    folder.rename(tmp_path / "train")
    _write(tmp_path / "validation" / "red" / "0.png", (255, 0, 0))
    opened = datasets.open_dataset(str(tmp_path))
    assert (opened.train.count, opened.test.count) == (20, 1)
    assert _all(opened.test)[1].tolist() == [1]


def test_tfds_reads_the_same_images_as_the_records(tmp_path):
    """A prepared data set of TensorFlow Datasets, made here without a download."""
    tfds = pytest.importorskip("tensorflow_datasets")

    class Toy(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
            label = tfds.features.ClassLabel(num_classes=3)
            features = tfds.features.FeaturesDict({"image": image, "label": label})
            return self.dataset_info_from_configs(features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._examples(12), "test": self._examples(5)}

        def _examples(self, count):
            for i in range(count):
                image = np.full((16, 16, 3), 20 * i, "uint8")
                yield i, {"image": image, "label": i % 3}

        def _generate_examples(self):
            raise AssertionError

    Toy(data_dir=tmp_path).download_and_prepare()
    opened = datasets.open_dataset("toy", str(tmp_path), holdout=2)
    assert (opened.train.count, opened.evaluation.count) == (10, 2)
    images, labels = _all(opened.test, size=16)
    assert sorted(images[:, 0, 0, 0]) == [0, 20, 40, 60, 80]
    np.testing.assert_array_equal(images[:, 0, 0, 0] / 20 % 3, labels)


@pytest.mark.parametrize("count", [3, 5])
def test_sample_images(folder, npz, count):
    for name in (npz[0], str(folder), "digits"):
        images = datasets.sample_images(name, count, image_size=16)
        assert images.shape == (count, 16, 16, 3)
        assert images.dtype == np.float32
        assert images.max() > 1


def _refusal(name, **kwargs):
    with pytest.raises(ValueError) as caught:
        datasets.open_dataset(str(name), **kwargs)
    return str(caught.value)


def test_unusable_folders_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "Found none" in _refusal(tmp_path / "empty")
    (folder / "red" / "broken.jpg").write_bytes(b"no image")
    whole = (folder / "red" / "1.jpg").read_bytes()
    (folder / "red" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    message = _refusal(folder)
    assert "2 unreadable" in message
    assert "broken.jpg" in message
    assert "half.jpg" in message
    _write(tmp_path / "one" / "only" / "0.png", (1, 2, 3))
    assert "at least two classes" in _refusal(tmp_path / "one")


def test_unusable_names_and_files_are_refused(tmp_path, npz):
    assert "does not exist" in _refusal(tmp_path / "nowhere")
    assert "does not exist" in _refusal(tmp_path / "nowhere.npz")
    assert "Received: dataset='no_such_set'" in _refusal(
        "no_such_set", data_dir=str(tmp_path)
    )
    (tmp_path / "text.npz").write_text("no arrays")
    assert "must be a NumPy .npz file" in _refusal(tmp_path / "text.npz")
    whole = Path(npz[0]).read_bytes()
    for size in (0, 100, len(whole) // 2):
        (tmp_path / "part.npz").write_bytes(whole[:size])
        assert "must be a NumPy .npz file" in _refusal(tmp_path / "part.npz")
    arrays = npz[1]
    changes = {
        "float": {"x_test": arrays["x_test"] / 255},
        "oblong": {"x_train": arrays["x_train"][:, :4]},
        "short": {"y_train": arrays["y_train"][:-1]},
        "one": {name: 0 * arrays[name] for name in ("y_train", "y_test")},
        "negative": {"y_train": arrays["y_train"] - 1},
        "empty": {name: arrays[name][:0] for name in ("x_test", "y_test")},
        "smaller": {"x_test": arrays["x_test"][:, :4, :4]},
        "grey": {"x_test": arrays["x_test"][..., :1]},
    }
    for name, change in changes.items():
        np.savez(tmp_path / f"{name}.npz", **{**arrays, **change})
        assert f"{name}.npz" in _refusal(tmp_path / f"{name}.npz")
    assert "holdout=20" in _refusal(npz[0], holdout=20)


def _epochs(split, epochs, augmentation="pad_crop_mirror", batch_size=6, **kwargs):
    batches = pipeline.train_batches(
        split,
        augmentation=augment.get_augmentation(augmentation),
        batch_size=batch_size,
        image_size=8,
        classes=3,
        fill=(0.0, 0.0, 0.0),
        seed=7,
        epochs=epochs,
        **kwargs,
    )
    return [(np.asarray(images), np.asarray(y)) for images, y in batches]


@pytest.fixture
def splits(folder, npz):
    return {
        "arrays": datasets.open_dataset(npz[0]).train,
        "photographs": datasets.open_dataset(str(folder)).train,
    }


@pytest.mark.parametrize("kind", ["arrays", "photographs"])
@pytest.mark.parametrize("augmentation", ["pad_crop_mirror", "scale_aspect_colour"])
def test_an_epoch_is_the_same_whether_or_not_others_come_before(
    splits, kind, augmentation
):
    split = splits[kind]
    steps = pipeline.steps_per_epoch(split, 6)
    whole = _epochs(split, range(0, 3), augmentation)
    assert len(whole) == 3 * steps
    for batch, again in zip(
        whole[steps:], _epochs(split, range(1, 3), augmentation), strict=True
    ):
        np.testing.assert_array_equal(batch[0], again[0])
        np.testing.assert_array_equal(batch[1], again[1])
    assert not np.array_equal(whole[0][0], whole[steps][0])


@pytest.mark.parametrize("kind", ["arrays", "photographs"])
def test_an_epoch_takes_every_image_once_with_its_label(splits, kind):
    split = splits[kind]
    (images, targets), *rest = _epochs(
        split, range(5, 6), "none", batch_size=split.count
    )
    assert not rest
    plain, labels = _all(split)
    pairs = [
        {(image.tobytes(), int(label)) for image, label in zip(x, y, strict=True)}
        for x, y in ((images, targets.argmax(-1)), (plain, labels))
    ]
    assert pairs[0] == pairs[1]


def test_outputs_share_their_targets(splits):
    batches = pipeline.train_batches(
        splits["arrays"],
        augmentation=augment.get_augmentation("none"),
        batch_size=5,
        image_size=8,
        classes=3,
        fill=None,
        seed=0,
        epochs=range(1),
        outputs=3,
    )
    _, targets = next(iter(batches))
    assert len(targets) == 3
    np.testing.assert_array_equal(targets[0], targets[2])


def test_batches_larger_than_the_split_are_refused(splits):
    with pytest.raises(ValueError, match="at most.* 20. Received: batch_size=21"):
        pipeline.steps_per_epoch(splits["arrays"], 21)


def test_crops_stay_within_the_photograph():
    """A photograph whose pixels tell their place is cut where the draws say."""
    import tensorflow as tf

    image = np.zeros((64, 96, 3), "uint8")
    image[..., 0] = np.arange(64)[:, None]
    image[..., 1] = np.arange(96)
    encoded = tf.io.encode_png(image)
    centre = crop(encoded, 56, "centre").numpy()
    assert centre.shape == (56, 56, 3)
    np.testing.assert_allclose(centre[:, 0, 0], np.arange(4, 60), atol=0.01)
    np.testing.assert_allclose(centre[0, :, 1], np.arange(20, 76), atol=0.01)
    corner = crop(encoded, 56, "random", tf.constant([0.0, 0, 0.999, 0.999]))
    np.testing.assert_allclose(corner[-1, -1, :2], [63, 95], atol=0.01)
    whole = crop(encoded, 32, "scale_aspect", tf.constant([0.99, 0.9, 0.5, 0.5]))
    assert whole.shape == (32, 32, 3)
