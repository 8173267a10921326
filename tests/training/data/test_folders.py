"""Data sets in folders of images."""

import os
import socket
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_roots.training.data import datasets, folders


def test_folder_without_splits_keeps_a_fifth_for_testing(folder, read_all):
    opened = datasets.open_dataset(str(folder))
    assert opened.class_names == ("blue", "red")
    assert (opened.train.count, opened.test.count) == (16, 4)
    assert opened.evaluation is opened.test
    assert opened.train.class_counts(2).sum() == 16
    images, labels = read_all(opened.train)
    assert images.shape == (16, 8, 8, 3)
    colours = np.where(labels[:, None] == 1, (255, 0, 0), (0, 0, 255))
    np.testing.assert_allclose(images.mean((1, 2)), colours, atol=3)


def test_folder_with_splits(folder, tmp_path, read_all, write_photograph):
    folder.rename(tmp_path / "train")
    write_photograph(tmp_path / "validation" / "red" / "0.png", (255, 0, 0))
    opened = datasets.open_dataset(str(tmp_path))
    assert (opened.train.count, opened.test.count) == (20, 1)
    assert read_all(opened.test)[1].tolist() == [1]


def test_images_are_held_out(folder, read_all):
    opened = datasets.open_dataset(str(folder), holdout=3)
    counts = (opened.train.count, opened.evaluation.count, opened.test.count)
    assert counts == (13, 3, 4)
    assert len(read_all(opened.evaluation)[1]) == 3
    with pytest.raises(ValueError, match="`holdout` must leave some of the 16"):
        datasets.open_dataset(str(folder), holdout=16)


def test_a_test_split_alone_is_refused(folder, tmp_path):
    folder.rename(tmp_path / "validation")
    with pytest.raises(ValueError, match="has 'validation' but no 'train'"):
        datasets.open_dataset(str(tmp_path))


def test_unusable_folders_are_refused(refusal, folder, tmp_path, write_photograph):
    (tmp_path / "empty").mkdir()
    assert "Found none" in refusal(tmp_path / "empty")
    (folder / "red" / "broken.jpg").write_bytes(b"no image")
    whole = (folder / "red" / "1.jpg").read_bytes()
    (folder / "red" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    message = refusal(folder)
    assert "2 unreadable" in message
    assert "broken.jpg" in message
    assert "half.jpg" in message
    write_photograph(tmp_path / "one" / "only" / "0.png", (1, 2, 3))
    assert "at least two classes" in refusal(tmp_path / "one")


def _link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=True)


def _other(write):
    """Returns what puts an image where it is not to be taken for one."""
    return {
        "hidden files and folders: ": [
            lambda root: write(root / ".ipynb_checkpoints" / "0.png", (9, 9, 9)),
            lambda root: write(
                root / "red" / ".ipynb_checkpoints" / "0.png", (9, 9, 9)
            ),
            lambda root: write(root / "__MACOSX" / "red" / "0.png", (9, 9, 9)),
            lambda root: (root / "red" / "._0.png").write_bytes(b"\0\5\x16\7"),
        ],
        "links in circles or to what is there already: ": [
            lambda root: _link(root / "red" / "again", ".."),
            lambda root: _link(root / "red" / "more" / "again", ".."),
            lambda root: _link(root / "self", "."),
            lambda root: _link(root / "above", ".."),
            lambda root: _link(root / "red" / "loop.png", "loop.png"),
        ],
        "folders without images, which are no classes: ": [
            lambda root: (root / "green").mkdir(),
            lambda root: (root / "zebra" / "deep").mkdir(parents=True),
        ],
        "that are no regular files: ": [
            lambda root: os.mkfifo(root / "red" / "pipe.png"),
            lambda root: _link(root / "red" / "zero.png", "/dev/zero"),
            lambda root: socket.socket(socket.AF_UNIX).bind(
                os.path.relpath(root / "red" / "socket.jpg")
            ),
        ],
    }


@pytest.mark.parametrize(
    ("kind", "number"),
    [(kind, i) for kind, row in _other(0).items() for i in range(len(row))],
)
def test_what_is_no_image_is_left_out_with_a_line(
    kind, number, folder, write_photograph, capsys, read_all, monkeypatch
):
    monkeypatch.chdir(folder)  # a socket's path must be short
    if kind.startswith("links") and number == 0:
        # What leads out of a class would bring in the images of the others.
        _other(write_photograph)[kind][number](folder)
        with pytest.raises(ValueError, match="in two classes, 'blue' and 'red'"):
            datasets.open_dataset(str(folder))
        return
    _other(write_photograph)[kind][number](folder)
    opened = datasets.open_dataset(str(folder))
    assert opened.class_names == ("blue", "red")
    assert (opened.train.count, opened.test.count) == (16, 4)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"note: `dataset` folder {str(folder)!r}: left out 1 {kind}" in lines[0]
    assert len(read_all(opened.train)[1]) == 16


def test_one_line_tells_many(folder, capsys):
    for index in range(7):
        (folder / f"empty{index}").mkdir()
        (folder / "red" / f".{index}.png").write_bytes(b"")
    datasets.open_dataset(str(folder))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert any(
        "left out 7 folders" in line and line.endswith(", ...") for line in lines
    )


def test_links_to_folders_and_files_are_followed(folder, tmp_path, read_all):
    (folder / "red").rename(tmp_path / "elsewhere")
    _link(folder / "red" / "deep", tmp_path / "elsewhere")
    opened = datasets.open_dataset(str(folder))
    assert (opened.train.count, opened.test.count) == (16, 4)
    assert len(read_all(opened.train)[1]) == 16


def test_a_folder_in_two_classes_is_refused(folder, refusal):
    _link(folder / "blue" / "more", folder / "red")
    assert "in two classes, 'blue' and 'red': remove the link" in refusal(folder)


def test_test_images_of_an_unknown_class_are_refused(
    folder, tmp_path, refusal, write_photograph, capsys
):
    folder.rename(tmp_path / "train")
    for name in ("red", "green"):
        write_photograph(tmp_path / "val" / name / "0.png", (9, 9, 9))
    (tmp_path / "val" / "without").mkdir()
    message = refusal(tmp_path)
    assert "images to test on in 'val' of ['green']" in message
    (tmp_path / "train" / "green").mkdir()  # without images it is no class either
    assert "of ['green']" in refusal(tmp_path)


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_names_that_are_no_utf8(folder, refusal, read_all):
    os.rename(folder / "red" / "0.png", os.fsencode(folder / "red") + b"/\xff\xe9.png")
    opened = datasets.open_dataset(str(folder))
    images, labels = read_all(opened.train)
    assert len(images) == 16 and sum(labels) + read_all(opened.test)[1].sum() == 10
    with open(os.fsencode(folder / "red") + b"/\xfe.png", "wb") as file:
        file.write(b"no image")
    assert "\\xfe.png (cannot identify" in refusal(folder)
    os.remove(os.fsencode(folder / "red") + b"/\xfe.png")
    os.rename(os.fsencode(folder / "red"), os.fsencode(folder) + b"/r\xe9d")
    assert "rename b'" in refusal(folder) and "r\\xe9d'" in refusal(folder)


def test_images_far_larger_than_their_files(folder, refusal):
    image = bytearray((folder / "red" / "0.png").read_bytes())
    struct.pack_into(">II", image, 16, 20_000, 20_000)  # width and height
    struct.pack_into(">I", image, 29, zlib.crc32(image[12:29]))
    (folder / "red" / "0.png").write_bytes(image)
    assert "400000000 pixels) exceeds limit of 178956970" in refusal(folder)


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_classes_are_named_in_utf8(folder, monkeypatch):
    """Also where Python takes names of files for ASCII."""
    names = [b"gr\xc3\xbcn", b"red"]
    (folder / "blue").rename(folder / os.fsdecode(names[0]))
    listed = [name.decode("ascii", "surrogateescape") for name in names]
    real = os.listdir

    def listdir(path):
        return listed if str(path) == str(folder) else real(path)

    monkeypatch.setattr(folders.os, "listdir", listdir)
    opened = datasets.open_dataset(str(folder))
    assert opened.class_names == ("grün", "red")


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_files_that_change_later_are_named(folder, damage, read_all):
    opened = datasets.open_dataset(str(folder))
    for name in ("1.jpg", "3.jpg", "2.png"):
        path = folder / "red" / name
        path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(ValueError, match="unreadable images: .*/red/"):
        read_all(opened.train)


def test_pngs_that_pillow_reads_and_tensorflow_does_not(folder, refusal):
    """With the checksum of their pixels wrong; TensorFlow would fail in an epoch."""
    path = folder / "red" / "2.png"
    content = bytearray(path.read_bytes())
    content[content.rindex(b"IEND") - 5] ^= 1
    path.write_bytes(content)
    Image.open(path).load()
    assert "1 unreadable images" in refusal(folder)


def test_without_tensorflow_folders_are_refused(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match="would be streamed by TensorFlow"):
        datasets.open_dataset(str(folder))
