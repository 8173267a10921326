"""Data sets of TensorFlow Datasets, made here without a download."""

import functools
import io
import sys

import numpy as np
import pytest
from PIL import Image

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


@pytest.fixture
def cifar10(tmp_path):
    """Two images per split in the files that TensorFlow Datasets prepares."""
    tf = pytest.importorskip("tensorflow")
    folder = tmp_path / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    (folder / "label.labels.txt").write_text("airplane\ncat\n")
    for split, shade in (("train", 10), ("test", 200)):
        name = str(folder / f"cifar10-{split}.tfrecord-00000-of-00001")
        with tf.io.TFRecordWriter(name) as writer:
            for label in range(2):
                stream = io.BytesIO()
                image = Image.new("RGB", (32, 32), (shade, label, 0))
                image.save(stream, format="PNG")
                features = {
                    "image": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[stream.getvalue()])
                    ),
                    "label": tf.train.Feature(
                        int64_list=tf.train.Int64List(value=[label])
                    ),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
    return str(tmp_path)


def test_cifar10_is_read_into_memory(cifar10):
    opened = datasets.open_dataset("cifar10", cifar10)
    assert opened.class_names == ("airplane", "cat")
    assert opened.image_size == 32
    for split, shade in ((opened.train, 10), (opened.test, 200)):
        assert split.images.shape == (2, 32, 32, 3)
        assert split.images[:, 0, 0].tolist() == [[shade, 0, 0], [shade, 1, 0]]
        assert split.labels.tolist() == [0, 1]
