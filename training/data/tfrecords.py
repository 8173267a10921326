"""Reads data sets prepared by TensorFlow Datasets without TensorFlow.

The reader of TensorFlow Datasets itself, `tfds.data_source` (4.9.10), needs TensorFlow
to find a prepared data set, and refuses TFRecord files, its default format.

A TFRecord file is a sequence of (length, checksum, bytes, checksum); each record is a
`tf.train.Example` protocol buffer, of which images and labels are two features.
"""

import io
import os
from collections.abc import Iterator

import numpy as np

from keras_roots.training.data.crc32c import crc32c, masked
from keras_roots.training.data.prepared import Prepared, Shard, damaged

_HEADER = 12  # bytes of a length and its checksum
_CHECKSUM = 4  # bytes
_BATCH = 2**23  # bytes of records whose checksums are computed together
_BYTES, _INTEGERS = 1, 3  # kinds of lists in a feature


def read_images(prepared: Prepared, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads the images and labels of one split into memory.

    Args:
        prepared: The data set.
        split: Name of the split, such as `"train"`.

    Returns:
        Images, uint8 `(count, height, width, 3)`, and labels, int64 `(count,)`. Of
        photographs of several sizes they are the square in the centre, resized to the
        median of their shorter sides.

    Raises:
        ValueError: A file is missing or damaged, or holds other than the metadata say.
    """
    prepared.check(split)
    images, labels = [], []
    for shard in prepared.shards[split]:
        for index, (encoded, label) in enumerate(examples(prepared, shard)):
            images.append(_decode(prepared, shard, index, encoded))
            labels.append(label)
    if len({image.size for image in images}) > 1:
        side = int(np.median([min(image.size) for image in images]))
        images = [_square(image, side) for image in images]
    return np.stack(images), np.array(labels, "int64")


def examples(prepared: Prepared, shard: Shard) -> Iterator[tuple[bytes, int]]:
    """Yields the encoded images and the labels of a file.

    Args:
        prepared: The data set.
        shard: The file.

    Raises:
        ValueError: It is missing or damaged, or a label is none of the classes.
    """
    classes = len(prepared.class_names)
    for index, record in enumerate(_records(shard)):
        try:
            features = _example(record)
            image, label = features["image", _BYTES], features["label", _INTEGERS]
        except (LookupError, TypeError, ValueError) as error:
            fault = f"holds no image and label ({error})"
            raise bad_record(shard, index, fault) from error
        if not 0 <= label < classes:
            raise bad_record(shard, index, f"has label {label} of {classes} classes")
        yield image, label


def bad_record(shard: Shard, index: int, fault: str) -> ValueError:
    """Returns the error of a record, as `damaged` that of a file."""
    return damaged(shard.path, f"is damaged: record {index} (from 0) {fault}")


def _decode(prepared, shard, index, encoded):
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            sides = image.size[::-1]
            for side, known in zip(sides, prepared.sides, strict=True):
                if known not in (None, side):
                    raise ValueError(f"it is {sides}, not {prepared.sides}")
            return image.convert("RGB")
    except Exception as error:  # Pillow's are of any kind
        raise bad_record(
            shard, index, f"has an image that cannot be read ({error})"
        ) from error


def _square(image, side):
    """Returns the square in the centre of a picture, in another size."""
    from PIL import Image, ImageOps

    return ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)


def _records(shard) -> Iterator[bytes]:
    """Yields the records of a file, checked, and as many as there should be."""
    done = 0
    try:
        with open(shard.path, "rb") as file:
            left = os.fstat(file.fileno()).st_size
            while left and done <= shard.count:
                batch, left = _batch(file, left)
                _check(shard, done, batch)
                for _, record, _ in batch:
                    yield record
                    done += 1
    except OSError as error:
        raise damaged(shard.path, f"cannot be read ({error})") from error
    if done != shard.count:
        more = " or more" if left else ""
        raise damaged(
            shard.path,
            f"is damaged: it has {done}{more} records instead of {shard.count}",
        )


def _batch(file, left) -> tuple[list, int]:
    """Reads some records, not further than to one that cannot be whole."""
    batch, held = [], 0
    while left and held < _BATCH:
        header = file.read(_HEADER)
        size = _HEADER + int.from_bytes(header[:8], "little") + _CHECKSUM
        if size > left:
            return [*batch, (header, None, b"")], 0
        record = file.read(size - _HEADER - _CHECKSUM)
        batch.append((header, record, file.read(_CHECKSUM)))
        left -= size
        held += size
    return batch, left


def _check(shard, first, batch) -> None:
    """Checks the checksums of some records."""
    lengths, records = [], []
    for index, (header, record, checksum) in enumerate(batch):
        if len(header) == _HEADER:
            lengths.append((index, header[:8], header[8:]))
        if record is not None:
            records.append((index, record, checksum))
    faults = {index: "has a damaged length" for index in _wrong(lengths)}
    cut = [index for index, row in enumerate(batch) if row[1] is None]
    for index in [*_wrong(records), *cut]:
        fault = "is cut off" if index in cut else "has other bytes than were written"
        faults.setdefault(index, fault)
    if faults:
        worst = min(faults)
        raise bad_record(shard, first + worst, faults[worst])


def _wrong(rows) -> list[int]:
    """Returns the first of (index, bytes, checksum) whose checksum is another."""
    if not rows:
        return []
    indices, parts, checksums = zip(*rows, strict=True)
    expected = np.frombuffer(b"".join(checksums), "<u4")
    wrong = np.flatnonzero(masked(crc32c(parts)) != expected)
    return [indices[index] for index in wrong[:1]]


def _example(record: bytes) -> dict[tuple[str, int], bytes | int]:
    """Returns the first value of each feature of a serialised `tf.train.Example`.

    Features are by their name and the kind of their values.
    """
    features = {}
    for _, example in _fields(record):
        for _, entry in _fields(example):
            (_, name), (_, feature) = _fields(entry)
            ((kind, values),) = _fields(feature)
            _, value = next(_fields(values), (None, None))
            if kind == _INTEGERS and isinstance(value, bytes):  # packed int64 list
                value, _ = _varint(value, 0)
            if isinstance(value, bytes if kind == _BYTES else int):
                features[name.decode(), kind] = value
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
            if len(value) != length:
                raise ValueError("a field is cut off")
            position += length
        else:
            raise ValueError(f"unexpected wire type {key & 7}")
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
