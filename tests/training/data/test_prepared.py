"""Metadata of prepared data sets: what they say, and when they are damaged."""

import json

import pytest

from keras_roots.training.data import prepared


def test_what_the_metadata_say(prepared_folder):
    found = prepared.read_prepared(prepared_folder, "toy")
    assert found.class_names == ("a", "b", "c") and found.sides == (16, 16)
    assert {split: found.count(split) for split in found.shards} == {
        "train": 9,
        "test": 3,
    }
    names = [(shard.path.name, shard.count) for shard in found.shards["train"]]
    assert names == [
        ("toy-train.tfrecord-00000-of-00002", 5),
        ("toy-train.tfrecord-00001-of-00002", 4),
    ]
    found.check("train")


def test_classes_without_names_are_numbered(prepared_folder):
    (prepared_folder / "label.labels.txt").unlink()
    assert prepared.read_prepared(prepared_folder, "toy").class_names == ("0", "1", "2")


@pytest.mark.parametrize("features", [None, {"type": "older", "content": "{}"}])
def test_older_versions_have_names_alone(prepared_folder, features):
    (prepared_folder / "features.json").unlink()
    if features:
        (prepared_folder / "features.json").write_text(json.dumps(features))
    found = prepared.read_prepared(prepared_folder, "toy")
    assert found.class_names == ("a", "b", "c") and found.sides == (None, None)


def _changed(file, old, new):
    def damage(folder):
        content = (folder / file).read_bytes()
        assert old in content
        (folder / file).write_bytes(content.replace(old, new, 1))

    return damage


INFO, FEATURES, NAMES = "dataset_info.json", "features.json", "label.labels.txt"
DAMAGES = {
    "cut": (INFO, _changed(INFO, b'"splits"', b""), "is damaged"),
    "nested": (
        INFO,
        lambda folder: (folder / INFO).write_text("[" * 100_000),
        "is damaged",
    ),
    "a list": (INFO, lambda folder: (folder / INFO).write_text("[]"), "is damaged"),
    "no text": (INFO, _changed(INFO, b"toy", b"t\xffy"), "is damaged"),
    "no splits": (INFO, _changed(INFO, b"splits", b"splitt"), "is damaged"),
    "no number": (INFO, _changed(INFO, b'"5"', b'"x"'), "is damaged"),
    "negative": (INFO, _changed(INFO, b'"5"', b'"-5"'), "is damaged"),
    "format": (INFO, _changed(INFO, b'"tfrecord"', b'"riegeli"'), "'riegeli'"),
    "outside": (INFO, _changed(INFO, b'"toy"', b'"../toy"'), "no name of a file"),
    "classes": (FEATURES, _changed(FEATURES, b'"3"}', b'"4"}'), "3 classes of 4"),
    "no features": (
        FEATURES,
        lambda folder: (folder / FEATURES).write_text(
            json.dumps({"featuresDict": {"features": ["image", "label"]}})
        ),
        "is damaged",
    ),
    "no shape": (FEATURES, _changed(FEATURES, b"dimens", b"dimenz"), "is damaged"),
    "a name less": (NAMES, _changed(NAMES, b"b\n", b""), "2 classes of 3"),
    "names": (NAMES, _changed(NAMES, b"b", b"\xff"), "is damaged"),
    "a name twice": (NAMES, _changed(NAMES, b"b", b"a"), "a name twice"),
    "a name of zeros": (NAMES, _changed(NAMES, b"b", b"\0"), "cannot be printed"),
    "an empty name": (NAMES, _changed(NAMES, b"b", b""), "a name that is empty"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_metadata_are_named_with_the_remedy(kind, prepared_folder):
    file, damage, fault = DAMAGES[kind]
    damage(prepared_folder)
    with pytest.raises(ValueError, match=fault) as caught:
        prepared.read_prepared(prepared_folder, "toy")
    # A wrong number of classes is told of the names.
    assert str(prepared_folder / (NAMES if kind == "classes" else file)) in str(
        caught.value
    )
    assert f"Delete the folder '{prepared_folder}'" in str(caught.value)


@pytest.mark.parametrize("name", [INFO, NAMES])
def test_missing_metadata(name, prepared_folder):
    (prepared_folder / name).unlink()
    if name == NAMES:
        (prepared_folder / FEATURES).unlink()
    folder = prepared.prepared_version(prepared_folder.parents[1], "toy")
    with pytest.raises(ValueError, match="is missing. Delete the folder"):
        prepared.read_prepared(folder, "toy")


def test_classes_that_are_absurdly_many(prepared_folder):
    (prepared_folder / NAMES).unlink()
    _changed(FEATURES, b'"3"}', b'"99999999999"}')(prepared_folder)
    with pytest.raises(ValueError, match="Received: 99,999,999,999 classes of 12"):
        prepared.read_prepared(prepared_folder, "toy")


def test_other_data_sets_than_of_labelled_images(prepared_folder):
    _changed(FEATURES, b'"label"', b'"text"')(prepared_folder)
    with pytest.raises(ValueError, match=r"with features \['image', 'text'\]"):
        prepared.read_prepared(prepared_folder, "toy")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b'"5"', b'"500000"', "bytes for 500,000 records"),
        (b'["5", "4"]', b'["5", "4", "1"]', "00000-of-00003' is missing"),
        (b'["5", "4"]', b"[]", "lists no images of 'train'"),
    ],
)
def test_files_that_are_not_as_the_metadata_say(old, new, fault, prepared_folder):
    _changed(INFO, old, new)(prepared_folder)
    with pytest.raises(ValueError, match=f"{fault}.*Delete the folder"):
        prepared.read_prepared(prepared_folder, "toy").check("train")


def test_newest_version_is_found(tmp_path):
    for version in ("2.0.0", "10.0.0", "9.1.0", "incomplete.AB12_11.0.0"):
        folder = tmp_path / "toy" / version
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_text("{}")
    (tmp_path / "toy" / "12.0.0").mkdir()  # nothing is in it
    assert prepared.prepared_version(tmp_path, "toy").name == "10.0.0"
    assert prepared.prepared_version(tmp_path, "other") is None
