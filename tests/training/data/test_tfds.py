"""Data sets of TensorFlow Datasets, made here without a download."""

import functools
import sys

import keras
import numpy as np
import pytest

from keras_roots.training.data import datasets
from keras_roots.training.data.augment import get_augmentation
from keras_roots.training.data.batches import train_batches


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Opens a prepared data set of 12 and 5 images, each of one grey."""
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

    folder = str(tmp_path_factory.mktemp("prepared"))
    Toy(data_dir=folder).download_and_prepare()
    return functools.partial(datasets.open_dataset, "toy", folder)


def test_a_prepared_data_set_is_streamed(toy, read_all):
    opened = toy(holdout=2)
    assert (opened.train.count, opened.evaluation.count) == (10, 2)
    images, labels = read_all(opened.test, size=16)
    assert sorted(images[:, 0, 0, 0]) == [0, 20, 40, 60, 80]
    np.testing.assert_array_equal(images[:, 0, 0, 0] / 20 % 3, labels)


def test_images_of_each_class_are_counted(toy, read_all):
    opened = toy()
    for split in (opened.train, opened.test):
        want = np.bincount(read_all(split, size=16)[1], minlength=3)
        assert split.class_counts(3).tolist() == want.tolist()


@pytest.mark.parametrize("global_seed", [0, 7])
def test_epochs_of_a_stream_are_in_orders_of_their_own(toy, global_seed):
    tf = pytest.importorskip("tensorflow")
    tf.random.set_seed(global_seed)
    batches = train_batches(
        toy().train,
        augmentation=get_augmentation("none"),
        batch_size=12,
        image_size=16,
        classes=3,
        fill=np.zeros(3, "float32"),
        epochs=range(2),
        seed=0,
    )
    greys = [images.numpy()[:, 0, 0, 0] for images, _ in batches]
    assert len(greys) == 2 and list(greys[0]) != list(greys[1])
    for each in greys:
        assert sorted(each) == [20 * i for i in range(12)]


def test_without_tensorflow_a_prepared_data_set_is_read_into_memory(toy, monkeypatch):
    streamed = toy()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    opened = toy(holdout=2)
    assert opened.class_names == streamed.class_names
    assert (opened.train.count, opened.evaluation.count) == (10, 2)
    assert opened.image_size == 16
    greys = opened.test.images[:, 0, 0, 0]
    assert sorted(greys) == [0, 20, 40, 60, 80]
    np.testing.assert_array_equal(greys / 20 % 3, opened.test.labels)


def test_cifar10_is_read_into_memory(write_prepared):
    def shard(shade):
        rows = []
        for label in range(2):
            image = np.zeros((32, 32, 3), "uint8")
            image[:] = (shade, label, 0)
            rows.append((image, label))
        return [rows]

    splits = {"train": shard(10), "test": shard(200)}
    folder = write_prepared(splits, ("airplane", "cat"), "cifar10", (32, 32))
    opened = datasets.open_dataset("cifar10", str(folder.parents[1]))
    assert opened.class_names == ("airplane", "cat")
    assert opened.image_size == 32
    for split, shade in ((opened.train, 10), (opened.test, 200)):
        assert split.images.shape == (2, 32, 32, 3)
        assert split.images[:, 0, 0].tolist() == [[shade, 0, 0], [shade, 1, 0]]
        assert split.labels.tolist() == [0, 1]


def open_toy(folder, **arguments):
    return datasets.open_dataset("toy", str(folder.parents[1]), **arguments)


@pytest.mark.parametrize("holdout", [2, 5, 6])
def test_examples_are_held_out_across_shards(prepared_folder, read_all, holdout):
    opened = open_toy(prepared_folder, holdout=holdout)
    held, kept = (read_all(split, 16) for split in (opened.evaluation, opened.train))
    greys = [images[:, 0, 0, 0] / 10 for images, _ in (held, kept)]
    assert sorted(greys[0]) == list(range(holdout))
    assert sorted(greys[1]) == list(range(holdout, 9))
    np.testing.assert_array_equal(greys[1] % 3, kept[1])


def test_imagenet_is_tested_on_its_validation(write_prepared, squares):
    splits = {name: [squares(4)] for name in ("train", "test", "validation")}
    folder = write_prepared(splits, ("a", "b", "c"), "imagenet2012")
    (folder / "imagenet2012-test.tfrecord-00000-of-00001").unlink()
    opened = datasets.open_dataset("imagenet2012", str(folder.parents[1]))
    assert opened.test.count == 4


def test_splits_that_are_not_there(write_prepared, refusal, squares):
    folder = write_prepared({"train": [squares(4)]}, ("a", "b", "c"))
    message = refusal("toy", data_dir=str(folder.parents[1]))
    assert "one of ('test', 'validation') to test on. Received: ['train']" in message


def _flipped(file):
    content = bytearray(file.read_bytes())
    content[60] ^= 8
    file.write_bytes(content)


def _one_less(file):
    content = file.read_bytes()
    size = 16 + int.from_bytes(content[:8], "little")
    file.write_bytes(content[size:])


def _one_more(file):
    content = file.read_bytes()
    size = 16 + int.from_bytes(content[:8], "little")
    file.write_bytes(content + content[:size])


LATER = {
    "a bit": (_flipped, "record 0 .*has other bytes than were written"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-30]), "is cut off"),
    "one less": (_one_less, "it has 3 records instead of 4"),
    "one more": (_one_more, "it has 5 records instead of 4"),
    "gone": (lambda file: file.unlink(), "is missing"),
}
WRONG = {
    "label": ((np.zeros((16, 16, 3), "uint8"), 7), "record 1 .*label 7 of 3 classes"),
    "text": ((b"no image", 1), "record 1 .*that TensorFlow does not decode"),
}


def _read_batches(opened, read_all):
    read_all(opened.train, 16)


def _sample(opened, _):
    opened.train.sample(9, 16, 0)


def _train(opened, _):
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    network.compile("sgd", "mse")
    with opened.reading():
        network.fit(
            train_batches(
                opened.train,
                augmentation=get_augmentation("none"),
                batch_size=3,
                image_size=16,
                classes=3,
                fill=np.zeros(3, "float32"),
                epochs=range(1),
                seed=0,
            ),
            shuffle=False,
            verbose=0,
        )


READERS = [_read_batches, _sample, _train]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", LATER)
def test_damages_that_show_in_a_batch_are_named(kind, read, prepared_folder, read_all):
    damage, fault = LATER[kind]
    opened = open_toy(prepared_folder)
    file = prepared_folder / "toy-train.tfrecord-00001-of-00002"
    damage(file)
    with pytest.raises(ValueError, match=fault) as caught:
        read(opened, read_all)
    assert str(file) in str(caught.value)
    assert f"Delete the folder '{prepared_folder}'" in str(caught.value)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", WRONG)
def test_records_that_were_written_wrong_are_named(
    kind, read, write_prepared, read_all, squares
):
    row, fault = WRONG[kind]
    splits = {"train": [squares(5), [*squares(1), row]], "test": [squares(3)]}
    opened = open_toy(write_prepared(splits, ("a", "b", "c")))
    with pytest.raises(ValueError, match=f"00001-of-00002.*{fault}"):
        read(opened, read_all)


def test_a_missing_shard_is_found_when_opening(prepared_folder, refusal):
    (prepared_folder / "toy-test.tfrecord-00000-of-00001").unlink()
    message = refusal("toy", data_dir=str(prepared_folder.parents[1]))
    assert "toy-test.tfrecord-00000-of-00001' is missing. Delete" in message
