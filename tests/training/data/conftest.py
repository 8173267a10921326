"""Data sets that tests open: a folder of photographs, and an .npz file."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from keras_roots.training.data import datasets


@pytest.fixture
def write_photograph():
    """Function that writes an image of one colour, in a folder that it makes."""

    def write(path, colour, size=(12, 10)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path)

    return write


@pytest.fixture
def folder(tmp_path, write_photograph):
    """Ten red and ten blue photographs of two formats and sizes."""
    for i in range(10):
        suffix = "jpg" if i % 2 else "png"
        write_photograph(tmp_path / "photos" / "red" / f"{i}.{suffix}", (255, 0, 0))
        write_photograph(
            tmp_path / "photos" / "blue" / f"{i}.{suffix}", (0, 0, 255), (20, 30)
        )
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


@pytest.fixture
def read_all():
    """Function that returns all images and labels of a split, in order."""

    def read(split, size=8):
        images, labels = zip(*split.batches(4, size), strict=True)
        return np.concatenate(images), np.concatenate(labels)

    return read


@pytest.fixture
def refusal():
    """Function that returns why a data set cannot be opened."""

    def refuse(name, **arguments):
        with pytest.raises(ValueError) as caught:
            datasets.open_dataset(str(name), **arguments)
        return str(caught.value)

    return refuse


@pytest.fixture
def write_prepared(tmp_path):
    """Function that writes a data set as TensorFlow Datasets does; returns its folder.

    It takes the labelled images of each shard of each split, arrays or encoded.
    """
    tf = pytest.importorskip("tensorflow")

    def feature(**values):
        return tf.train.Feature(**values)

    def record(image, label):
        if not isinstance(image, bytes):
            stream = io.BytesIO()
            Image.fromarray(image).save(stream, format="PNG")
            image = stream.getvalue()
        features = {
            "image": feature(bytes_list=tf.train.BytesList(value=[image])),
            "label": feature(int64_list=tf.train.Int64List(value=[label])),
            "id": feature(bytes_list=tf.train.BytesList(value=[b"train_00001"])),
        }
        example = tf.train.Example(features=tf.train.Features(feature=features))
        return example.SerializeToString()

    def write(splits, names, name="toy", sides=(-1, -1), version="1.0.0"):
        folder = tmp_path / name / version
        folder.mkdir(parents=True)
        listed = []
        for split, shards in splits.items():
            lengths = [str(len(shard)) for shard in shards]
            listed.append({"name": split, "shardLengths": lengths, "numBytes": "1"})
            for index, shard in enumerate(shards):
                number = f"{index:05d}-of-{len(shards):05d}"
                path = str(folder / f"{name}-{split}.tfrecord-{number}")
                with tf.io.TFRecordWriter(path) as writer:
                    for image, label in shard:
                        writer.write(record(image, label))
        info = {"name": name, "fileFormat": "tfrecord", "splits": listed}
        (folder / "dataset_info.json").write_text(json.dumps(info))
        shape = {"dimensions": [*map(str, sides), "3"]}
        features = {
            "image": {"image": {"shape": shape}},
            "label": {"classLabel": {"numClasses": str(len(names))}},
        }
        described = {"featuresDict": {"features": features}}
        (folder / "features.json").write_text(json.dumps(described))
        (folder / "label.labels.txt").write_text("\n".join(names) + "\n")
        return folder

    return write


@pytest.fixture
def squares():
    """Function that returns images of one grey each, with their labels."""

    def make(count, first=0, classes=3):
        return [
            (np.full((16, 16, 3), 10 * index, "uint8"), index % classes)
            for index in range(first, first + count)
        ]

    return make


@pytest.fixture
def prepared_folder(write_prepared, squares):
    """Two shards of 5 and 4 images to train on, one of 3 to test on; the folder."""
    splits = {"train": [squares(5), squares(4, 5)], "test": [squares(3, 9)]}
    return write_prepared(splits, ("a", "b", "c"), sides=(16, 16))
