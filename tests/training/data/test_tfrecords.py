import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_roots.training.data import tfrecords


def _png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return stream.getvalue()


def _example(image, label):
    def feature(**kwargs):
        return tf.train.Feature(**kwargs)

    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "image": feature(bytes_list=tf.train.BytesList(value=[_png(image)])),
                "label": feature(int64_list=tf.train.Int64List(value=[label])),
                "id": feature(bytes_list=tf.train.BytesList(value=[b"train_00001"])),
            }
        )
    )


@pytest.fixture
def prepared(tmp_path):
    """Two shards as TensorFlow itself writes them; labels over 127 take two bytes."""
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), "uint8")
    labels = [0, 1, 127, 128, 300, 70_000, 3]
    folder = tmp_path / "toy" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    for shard, part in enumerate((slice(0, 4), slice(4, 7))):
        name = str(folder / f"toy-train.tfrecord-0000{shard}-of-00002")
        with tf.io.TFRecordWriter(name) as writer:
            for image, label in zip(images[part], labels[part], strict=True):
                writer.write(_example(image, label).SerializeToString())
    return folder, images, labels


def test_reads_what_tensorflow_wrote(prepared):
    folder, images, labels = prepared
    read, read_labels = tfrecords.read_images(folder, "train")
    np.testing.assert_array_equal(read, images)
    np.testing.assert_array_equal(read_labels, labels)


def test_photographs_become_squares(tmp_path):
    """The middle of each, of the median of the shorter sides."""
    folder = tmp_path / "toy" / "1.0.0"
    folder.mkdir(parents=True)
    rows = np.arange(40, dtype="uint8")[:, None, None]
    wide = np.broadcast_to(np.arange(60, dtype="uint8")[:, None], (40, 60, 3))
    tall = np.broadcast_to(np.vstack([rows, rows + 40]), (80, 40, 3))
    large = np.full((90, 70, 3), 200, "uint8")
    with tf.io.TFRecordWriter(str(folder / "toy-train.tfrecord-0-of-1")) as writer:
        for label, image in enumerate((wide, tall, large)):
            writer.write(_example(image, label).SerializeToString())
    images, labels = tfrecords.read_images(folder, "train")
    assert images.shape == (3, 40, 40, 3) and labels.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(images[0], wide[:, 10:50])
    np.testing.assert_array_equal(images[1], tall[20:60])
    assert np.all(images[2] == 200)


def test_truncated_file_is_named(prepared):
    folder, *_ = prepared
    file = folder / "toy-train.tfrecord-00001-of-00002"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match="toy-train.tfrecord-00001.*truncated"):
        tfrecords.read_images(folder, "train")


def test_missing_split_is_named(prepared):
    with pytest.raises(FileNotFoundError, match="'test'"):
        tfrecords.read_images(prepared[0], "test")


def test_newest_version_is_found(tmp_path):
    for version in ("2.0.0", "10.0.0", "9.1.0"):
        folder = tmp_path / "toy" / version
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_text("{}")
    assert tfrecords.prepared_version(tmp_path, "toy").name == "10.0.0"
    assert tfrecords.prepared_version(tmp_path, "other") is None
