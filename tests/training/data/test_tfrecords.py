"""TFRecord files without TensorFlow, as TensorFlow itself writes them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_roots.training.data import prepared, tfrecords

NAMES = tuple(map(str, range(301)))


def read(folder, split="train"):
    return tfrecords.read_images(prepared.read_prepared(folder, "toy"), split)


def test_reads_what_tensorflow_wrote(write_prepared):
    """Labels over 127 take two bytes."""
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), "uint8")
    labels = [0, 1, 127, 128, 300, 200, 3]
    rows = list(zip(images, labels, strict=True))
    folder = write_prepared({"train": [rows[:4], rows[4:]]}, NAMES, sides=(5, 6))
    found, found_labels = read(folder)
    np.testing.assert_array_equal(found, images)
    np.testing.assert_array_equal(found_labels, labels)


def test_photographs_become_squares(write_prepared):
    """The middle of each, of the median of the shorter sides."""
    rows = np.arange(40, dtype="uint8")[:, None, None]
    wide = np.broadcast_to(np.arange(60, dtype="uint8")[:, None], (40, 60, 3))
    tall = np.broadcast_to(np.vstack([rows, rows + 40]), (80, 40, 3))
    large = np.full((90, 70, 3), 200, "uint8")
    shard = [(image, label) for label, image in enumerate((wide, tall, large))]
    images, labels = read(write_prepared({"train": [shard]}, NAMES))
    assert images.shape == (3, 40, 40, 3) and labels.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(images[0], wide[:, 10:50])
    np.testing.assert_array_equal(images[1], tall[20:60])
    assert np.all(images[2] == 200)


def test_more_records_than_are_checked_together(write_prepared, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (9, 20, 20, 3), "uint8")
    folder = write_prepared({"train": [[(image, 0) for image in images]]}, NAMES)
    monkeypatch.setattr(tfrecords, "_BATCH", 3000)
    np.testing.assert_array_equal(read(folder)[0], images)
    _flip(folder / "toy-train.tfrecord-00000-of-00001", _starts(folder)[7] + 50)
    with pytest.raises(ValueError, match=r"record 7 \(from 0\) has other bytes"):
        read(folder)


def _starts(folder, name="toy-train.tfrecord-00000-of-00001"):
    """Where the records of a file start."""
    content, starts = (folder / name).read_bytes(), [0]
    while starts[-1] < len(content):
        length = int.from_bytes(content[starts[-1] : starts[-1] + 8], "little")
        starts.append(starts[-1] + length + 16)
    return starts


def _flip(path, place, bit=3):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def _of_record(number, offset):
    def damage(path, starts):
        _flip(path, starts[number] + offset)

    return damage


def _cut(number, offset=0):
    def damage(path, starts):
        path.write_bytes(path.read_bytes()[: starts[number] + offset])

    return damage


def _appended(content):
    def damage(path, starts):
        path.write_bytes(path.read_bytes() + content(path.read_bytes(), starts))

    return damage


FIRST = "toy-train.tfrecord-00000-of-00002"
DAMAGES = {
    "a low byte of a length": (_of_record(2, 0), "record 2 .*has a damaged length"),
    "a high byte of a length": (_of_record(2, 7), "record 2 .*has a damaged length"),
    "checksum of a length": (_of_record(1, 9), "record 1 .*has a damaged length"),
    "a byte of an image": (_of_record(3, 60), "record 3 .*other bytes than were"),
    "checksum of a record": (_of_record(1, -2), "record 0 .*other bytes than were"),
    "cut at the end of a record": (_cut(2), "it has 2 records instead of 5"),
    "cut in a record": (_cut(3, 40), r"record 3 .*is cut off"),
    "cut in a length": (_cut(3, 5), r"record 3 .*is cut off"),
    "cut in the last checksum": (_cut(5, -1), r"record 4 .*is cut off"),
    "a record more": (
        _appended(lambda content, starts: content[: starts[1]]),
        "it has 6 records instead of 5",
    ),
    "many records more": (_appended(lambda content, starts: 3 * content), "6 or more"),
    "zeros more": (_appended(lambda *_: bytes(64)), "record 5 .*a damaged length"),
    "empty": (lambda path, _: path.write_bytes(b""), "it has 0 bytes for 5 records"),
    "missing": (lambda path, _: path.unlink(), "is missing"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_files_are_named_with_the_remedy(kind, prepared_folder, monkeypatch):
    monkeypatch.setattr(tfrecords, "_BATCH", 300)
    damage, fault = DAMAGES[kind]
    damage(prepared_folder / FIRST, _starts(prepared_folder, FIRST))
    with pytest.raises(ValueError, match=fault) as caught:
        read(prepared_folder)
    message = str(caught.value)
    assert str(prepared_folder / FIRST) in message
    assert (
        f"Delete the folder '{prepared_folder}' and let TensorFlow Datasets" in message
    )


def test_a_length_beyond_the_file_allocates_nothing(prepared_folder, monkeypatch):
    """Even where its checksum is right."""
    from keras_roots.training.data.crc32c import crc32c, masked

    content = bytearray((prepared_folder / FIRST).read_bytes())
    content[:8] = (2**60).to_bytes(8, "little")
    content[8:12] = masked(crc32c([bytes(content[:8])])).astype("<u4").tobytes()
    (prepared_folder / FIRST).write_bytes(content)
    with pytest.raises(ValueError, match="record 0 .*is cut off"):
        read(prepared_folder)


def test_shards_that_changed_places(prepared_folder):
    other = prepared_folder / "toy-train.tfrecord-00001-of-00002"
    first, second = (prepared_folder / FIRST).read_bytes(), other.read_bytes()
    (prepared_folder / FIRST).write_bytes(second)
    other.write_bytes(first)
    with pytest.raises(ValueError, match="it has 4 records instead of 5"):
        read(prepared_folder)


@pytest.mark.parametrize(
    ("image", "label", "fault"),
    [
        (np.zeros((16, 16, 3), "uint8"), 3, "record 0 .*has label 3 of 3 classes"),
        (np.zeros((16, 16, 3), "uint8"), -1, r"has label \d+ of 3 classes"),
        (np.zeros((16, 15, 3), "uint8"), 0, r"it is \(16, 15\), not \(16, 16\)"),
        (b"no image", 0, "record 0 .*cannot be read .cannot identify image"),
        (b"", 0, "record 0 .*cannot be read"),
    ],
    ids=["label", "negative", "size", "text", "nothing"],
)
def test_records_that_were_written_wrong(write_prepared, image, label, fault):
    folder = write_prepared(
        {"train": [[(image, label)]]}, ("a", "b", "c"), sides=(16, 16)
    )
    with pytest.raises(ValueError, match=fault):
        read(folder)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\xff" * 30,
        b"\x0a\x7f\x00",
        tf.train.Example().SerializeToString(),
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "image": tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
                    "label": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[b"a"])
                    ),
                }
            )
        ).SerializeToString(),
    ],
    ids=["empty", "no buffer", "cut", "no features", "other kinds"],
)
def test_records_without_image_and_label(prepared_folder, record):
    with tf.io.TFRecordWriter(str(prepared_folder / FIRST)) as writer:
        for _ in range(5):
            writer.write(record)
    with pytest.raises(ValueError, match="record 0 .*holds no image and label"):
        read(prepared_folder)
