"""Data sets in folders of images."""

import numpy as np
import pytest

from keras_roots.training.data import datasets


def test_folder_without_splits_keeps_a_fifth_for_testing(folder, read_all):
    opened = datasets.open_dataset(str(folder))
    assert opened.class_names == ("blue", "red")
    assert (opened.train.count, opened.test.count) == (16, 4)
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
