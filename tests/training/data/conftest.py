"""Data sets that tests open: a folder of photographs, and an .npz file."""

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
