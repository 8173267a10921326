"""Data sets in .npz files."""

from pathlib import Path

import numpy as np
import pytest

from keras_roots.training.data import datasets


def test_a_whole_file(npz, read_all):
    path, arrays = npz
    opened = datasets.open_dataset(path)
    images, labels = read_all(opened.test)
    np.testing.assert_array_equal(images, arrays["x_test"])
    np.testing.assert_array_equal(labels, arrays["y_test"])
    assert opened.class_names == ("0", "1", "2")


@pytest.mark.parametrize("channels", [(), (1,)])
def test_grey_images_get_three_channels(npz, tmp_path, read_all, channels):
    path, arrays = npz
    grey = {
        name: values[..., 0].reshape(*values.shape[:3], *channels)
        for name, values in arrays.items()
        if name.startswith("x")
    }
    np.savez(tmp_path / "grey.npz", **{**arrays, **grey})
    opened = datasets.open_dataset(str(tmp_path / "grey.npz"), holdout=3)
    images, labels = read_all(opened.test)
    expected = arrays["x_test"][..., :1].repeat(3, axis=-1)
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, arrays["y_test"])
    assert opened.train.images.shape == (17, 8, 8, 3)


def test_unusable_files_are_refused(refusal, tmp_path, npz):
    (tmp_path / "text.npz").write_text("no arrays")
    assert "must be a NumPy .npz file" in refusal(tmp_path / "text.npz")
    whole = Path(npz[0]).read_bytes()
    for size in (0, 100, len(whole) // 2):
        (tmp_path / "part.npz").write_bytes(whole[:size])
        assert "must be a NumPy .npz file" in refusal(tmp_path / "part.npz")
    arrays = npz[1]
    changes = {
        "float": {"x_test": arrays["x_test"] / 255},
        "oblong": {"x_train": arrays["x_train"][:, :4]},
        "short": {"y_train": arrays["y_train"][:-1]},
        "one": {name: 0 * arrays[name] for name in ("y_train", "y_test")},
        "negative": {"y_train": arrays["y_train"] - 1},
        "empty": {name: arrays[name][:0] for name in ("x_test", "y_test")},
        "smaller": {"x_test": arrays["x_test"][:, :4, :4]},
        "alpha": {
            name: arrays[name].repeat(2, -1)[..., :4] for name in ("x_train", "x_test")
        },
        "flat": {name: arrays[name][:, 0, 0, 0] for name in ("x_train", "x_test")},
        "grey": {"x_test": arrays["x_test"][..., :1]},
    }
    for name, change in changes.items():
        np.savez(tmp_path / f"{name}.npz", **{**arrays, **change})
        assert f"{name}.npz" in refusal(tmp_path / f"{name}.npz")
    assert "holdout=20" in refusal(npz[0], holdout=20)
    one_hot = {
        f"y_{split}": np.eye(3)[arrays[f"y_{split}"] % 3] for split in ("train", "test")
    }
    np.savez(tmp_path / "hot.npz", **{**arrays, **one_hot})
    assert "argmax(axis=1)" in refusal(tmp_path / "hot.npz")
