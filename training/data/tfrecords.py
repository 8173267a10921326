"""Reads data sets prepared by TensorFlow Datasets without TensorFlow.

The reader of TensorFlow Datasets itself, `tfds.data_source` (4.9.10), needs TensorFlow
to find a prepared data set, and refuses TFRecord files, its default format.

A TFRecord file is a sequence of (length, checksum, bytes, checksum); each record is a
`tf.train.Example` protocol buffer, of which images and labels are two features.
"""

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def prepared_version(data_dir: str | Path, name: str) -> Path | None:
    """Returns the folder of the newest prepared version of a data set, if there is one.

    Args:
        data_dir: Folder that holds prepared data sets.
        name: Name of a data set, such as `"cifar10"`.
    """
    versions = [
        path.parent for path in Path(data_dir, name).glob("*/dataset_info.json")
    ]
    return max(versions, key=_version_key, default=None)


def class_names(folder: Path) -> tuple[str, ...]:
    """Returns the names of the classes, numbers where they have none.

    Args:
        folder: Folder of a prepared data set with images and labels.
    """
    names = folder / "label.labels.txt"
    if names.exists():
        return tuple(names.read_text().splitlines())
    features = json.loads((folder / "features.json").read_text())
    label = features["featuresDict"]["features"]["label"]["classLabel"]
    return tuple(map(str, range(int(label["numClasses"]))))


def read_images(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads the images and labels of one split into memory.

    Args:
        folder: Folder of a prepared data set.
        split: Name of the split, such as `"train"`.

    Returns:
        Images, uint8 `(count, height, width, 3)`, and labels, int64 `(count,)`. Of
        photographs of several sizes they are the square in the centre, resized to the
        median of their shorter sides.

    Raises:
        FileNotFoundError: The folder has no files of this split.
        ValueError: A file is damaged.
    """
    from PIL import Image

    files = sorted(folder.glob(f"*-{split}.tfrecord-*"))
    if not files:
        raise FileNotFoundError(f"No TFRecord files of split {split!r} in {folder}")
    images, labels = [], []
    for file in files:
        for record in _records(file):
            features = _example(record)
            with Image.open(io.BytesIO(features["image"])) as image:
                images.append(image.convert("RGB"))
            labels.append(features["label"])
    if len({image.size for image in images}) > 1:
        side = int(np.median([min(image.size) for image in images]))
        images = [_square(image, side) for image in images]
    return np.stack(images), np.array(labels, "int64")


def _square(image, side):
    """Returns the square in the centre of a picture, in another size."""
    from PIL import Image, ImageOps

    return ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)


def _version_key(path):
    return tuple(int(part) if part.isdigit() else -1 for part in path.name.split("."))


def _records(file: Path) -> Iterator[bytes]:
    with open(file, "rb") as stream:
        while header := stream.read(12):
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else -1
            record = stream.read(length) if length >= 0 else b""
            if len(record) != length or len(stream.read(4)) != 4:
                raise ValueError(f"The TFRecord file {str(file)!r} is truncated")
            yield record


def _example(record: bytes) -> dict[str, bytes | int]:
    """Returns the first value of each feature of a serialised `tf.train.Example`."""
    features = {}
    for _, example in _fields(record):
        for _, entry in _fields(example):
            (_, name), (_, feature) = _fields(entry)
            ((kind, values),) = _fields(feature)
            _, value = next(_fields(values))
            if kind == 3 and isinstance(value, bytes):  # packed int64 list
                value, _ = _varint(value, 0)
            features[name.decode()] = value
    return features


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        if key & 7 == 0:
            value, position = _varint(message, position)
        elif key & 7 == 2:
            length, position = _varint(message, position)
            value = message[position : position + length]
            position += length
        else:
            raise ValueError(f"Unexpected wire type {key & 7} in a tf.train.Example")
        yield key >> 3, value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
