"""Random damages of data sets: what opens has what was written, all else is refused.

`KERAS_ROOTS_DAMAGES=10000 pytest tests/training/data/test_damages.py` tries more.
"""

import os

import numpy as np
import pytest
from PIL import Image

from keras_roots.training.data import datasets

COUNT = int(os.environ.get("KERAS_ROOTS_DAMAGES", 150))


def damaged(content, rng):
    """Returns other bytes, damaged in one of ten ways."""
    content, size = bytearray(content), len(content)
    start = int(rng.integers(size))
    stop = min(size, start + 1 + int(rng.integers(1 + size // 4)))
    way = rng.integers(10)
    if way < 3:  # bits
        for place in [start, *rng.integers(size, size=7)][: 1 if way < 2 else 8]:
            content[place] ^= 1 << int(rng.integers(8))
    elif way == 3:
        content[start] = int(rng.integers(256))
    elif way == 4:
        del content[start:]
    elif way == 5:
        del content[start:stop]
    elif way == 6:
        content[start:start] = content[start:stop]
    elif way == 7:
        content[start:stop] = bytes(stop - start)
    elif way == 8:
        content[start : start + 8] = (b"\xff" * 8, b"\0" * 8)[int(rng.integers(2))]
    else:
        content += rng.bytes(int(rng.integers(1, 100)))
    return bytes(content)


@pytest.fixture
def try_damages():
    """Function that damages files, a number of times, and opens the data set.

    It takes the files, the arguments of `open_dataset`, the arrays that were written,
    and words of which one is in every refusal; returns how many were refused.
    """

    def attempt(files, arguments, arrays, words):
        rng = np.random.default_rng(0)
        whole = {path: path.read_bytes() for path in files}
        refused = 0
        for number in range(COUNT):
            path = files[int(rng.integers(len(files)))]
            if number % 10 == 9:
                other = files[int(rng.integers(len(files)))]
                path.write_bytes(whole[other])
                other.write_bytes(whole[path])
            else:
                path.write_bytes(damaged(whole[path], rng))
            try:
                opened = datasets.open_dataset(**arguments)
            except ValueError as error:
                assert any(word in str(error) for word in words), error
                refused += 1
            else:
                found = [
                    *(opened.train.images, opened.train.labels),
                    *(opened.test.images, opened.test.labels),
                ]
                for one, expected in zip(found, arrays, strict=True):
                    np.testing.assert_array_equal(one, expected)
            for each, content in whole.items():
                each.write_bytes(content)
        return refused

    return attempt


def test_prepared_files(write_prepared, squares, try_damages):
    splits = {"train": [squares(5), squares(4, 5)], "test": [squares(3, 9)]}
    folder = write_prepared(splits, ("plane", "car", "bird"), "cifar10", (16, 16))
    arrays = []
    for first, count in ((0, 9), (9, 3)):
        images, labels = zip(*squares(count, first), strict=True)
        arrays += [np.stack(images), np.array(labels)]
    files = sorted(folder.iterdir())
    arguments = {"name": "cifar10", "data_dir": str(folder.parents[1])}
    words = ("Delete the folder", "classes", "features", "a split 'train'")
    assert try_damages(files, arguments, arrays, words) > COUNT * 0.7


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files(save, npz, tmp_path, try_damages):
    path = tmp_path / "toy.npz"
    save(path, **npz[1])
    arrays = [npz[1][f"{kind}_{split}"] for split in ("train", "test") for kind in "xy"]
    refused = try_damages([path], {"name": str(path)}, arrays, ["`dataset` file"])
    assert refused > COUNT * 0.6


def test_folders(folder, read_all):
    """Of damaged files: JPEGs and PNGs, which TensorFlow decodes or refuses."""
    rng = np.random.default_rng(0)
    files = sorted(folder.rglob("*.*"))
    for path in files:
        pixels = rng.integers(0, 256, (12, 10, 3), "uint8")
        Image.fromarray(pixels).save(path)
    whole = {path: path.read_bytes() for path in files}
    expected = [read_all(split) for split in _splits(folder)]
    outcomes = []
    for _ in range(COUNT // 10):
        path = files[int(rng.integers(len(files)))]
        path.write_bytes(damaged(whole[path], rng))
        try:
            found = [read_all(split) for split in _splits(folder)]
        except ValueError as error:
            assert "1 unreadable images" in str(error) and str(path) in str(error)
            outcomes.append("refused")
        else:
            outcomes.append("read")
            same = all(
                np.array_equal(one[0], other[0])
                for one, other in zip(found, expected, strict=True)
            )
            # A JPEG has no checksum.
            assert same or path.suffix == ".jpg"
        path.write_bytes(whole[path])
    assert len(set(outcomes)) == 2


def _splits(folder):
    opened = datasets.open_dataset(str(folder))
    return opened.train, opened.test
