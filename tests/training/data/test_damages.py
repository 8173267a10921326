"""Random damages of data sets: what opens has what was written, all else is refused."""

import damages
import numpy as np
import pytest
from PIL import Image

from keras_roots.training.data import datasets


@pytest.fixture
def try_damages(faults, count):
    """Function that damages files, a number of times, and opens the data set.

    It takes the kind and the files, the arguments of `open_dataset`, the arrays that
    were written, and words of which one is in every refusal; returns how many were
    refused.
    """

    def attempt(kind, files, arguments, arrays, words):
        rng = np.random.default_rng(0)
        whole = {path: path.read_bytes() for path in files}
        refused = 0
        for number in range(faults):
            path = files[int(rng.integers(len(files)))]
            if number % 10 == 9:
                other = files[int(rng.integers(len(files)))]
                path.write_bytes(whole[other])
                other.write_bytes(whole[path])
            else:
                path.write_bytes(damages.damaged(whole[path], rng))
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
        count(f"damaged data sets: {kind}", faults)
        return refused

    return attempt


def test_prepared_files(write_prepared, squares, try_damages, faults):
    splits = {"train": [squares(5), squares(4, 5)], "test": [squares(3, 9)]}
    folder = write_prepared(splits, ("plane", "car", "bird"), "cifar10", (16, 16))
    arrays = []
    for first, count in ((0, 9), (9, 3)):
        images, labels = zip(*squares(count, first), strict=True)
        arrays += [np.stack(images), np.array(labels)]
    files = sorted(folder.iterdir())
    arguments = {"name": "cifar10", "data_dir": str(folder.parents[1])}
    words = ("Delete the folder", "classes", "features", "a split 'train'")
    refused = try_damages("records", files, arguments, arrays, words)
    assert refused > faults * 0.5


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files(save, npz, tmp_path, try_damages, faults):
    path = tmp_path / "toy.npz"
    save(path, **npz[1])
    arrays = [npz[1][f"{kind}_{split}"] for split in ("train", "test") for kind in "xy"]
    refused = try_damages(
        ".npz", [path], {"name": str(path)}, arrays, ["`dataset` file"]
    )
    assert refused > faults * 0.4


def test_folders(folder, read_all, faults, count):
    """Of damaged files: JPEGs and PNGs, which TensorFlow decodes or refuses."""
    rng = np.random.default_rng(0)
    files = sorted(folder.rglob("*.*"))
    for path in files:
        pixels = rng.integers(0, 256, (12, 10, 3), "uint8")
        Image.fromarray(pixels).save(path)
    whole = {path: path.read_bytes() for path in files}
    expected = [read_all(split) for split in _splits(folder)]
    outcomes = []
    for _ in range(faults):
        path = files[int(rng.integers(len(files)))]
        path.write_bytes(damages.damaged(whole[path], rng))
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
    count("damaged images in folders", faults)


def _splits(folder):
    opened = datasets.open_dataset(str(folder))
    return opened.train, opened.test
