"""Data sets in .npz files."""

import io
import os
import pickle
import zipfile
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


def _rewritten(path, arrays, header=None, **members):
    """Writes a file whose members are bytes, or arrays with another header."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in (arrays | members).items():
            content = values
            if not isinstance(values, bytes):
                stream = io.BytesIO()
                np.lib.format.write_array(stream, np.asarray(values))
                content = stream.getvalue()
            if header and name in header:
                stream = io.BytesIO()
                np.lib.format.write_array_header_1_0(stream, header[name])
                content = stream.getvalue() + content[128:]
            archive.writestr(f"{name}.npy", content)
    return path


def _header(shape, descr="|u1"):
    return {"descr": descr, "fortran_order": False, "shape": shape}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x_train": _header((2**40, 8, 8, 3))}, "which are no uint8 of shape"),
        ({"x_train": _header((2**62, 2**62, 4))}, "which are no uint8 of shape"),
        ({"x_train": _header((19, 8, 8, 3))}, "which are no uint8 of shape"),
        ({"x_train": _header((-20, -192))}, "which are no uint8 of shape"),
        ({"y_test": _header((6,), "|O")}, "y_test holds object, no numbers"),
        ({"y_test": _header((6,), "<U2")}, "y_test holds <U2, no numbers"),
    ],
    ids=["terabytes", "overflow", "less", "negative", "objects", "texts"],
)
def test_headers_that_lie_allocate_nothing(npz, tmp_path, refusal, headers, message):
    path = _rewritten(tmp_path / "lie.npz", npz[1], headers)
    assert message in refusal(path)


def test_arrays_that_are_far_larger_than_the_file(npz, tmp_path, refusal):
    zeros = np.zeros((30_000, 64, 64, 3), "uint8")
    np.savez_compressed(tmp_path / "bomb.npz", **{**npz[1], "x_train": zeros})
    message = refusal(tmp_path / "bomb.npz")
    assert "x_train would take 368,640,128 bytes" in message
    assert "numpy.savez, not compressed" in message


def test_objects_are_not_unpickled(npz, tmp_path, refusal):
    class Fatal:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    images = np.array([Fatal()] * 20, dtype=object)
    np.savez(tmp_path / "pickle.npz", **{**npz[1], "x_train": images})
    assert "x_train holds object, no numbers" in refusal(tmp_path / "pickle.npz")
    with open(tmp_path / "plain.npz", "wb") as file:
        pickle.dump([Fatal()], file)
    assert "not a zip file" in refusal(tmp_path / "plain.npz")


def test_an_array_without_an_archive(tmp_path, refusal):
    with open(tmp_path / "one.npz", "wb") as file:
        np.save(file, np.zeros(3))
    assert "must be a NumPy .npz file with x_train" in refusal(tmp_path / "one.npz")


def test_a_label_that_would_make_millions_of_classes(npz, tmp_path, refusal):
    for label, type_ in ((20_000_000, "int64"), (2**64 - 1, "uint64")):
        labels = npz[1]["y_train"].astype(type_)
        labels[3] = label
        np.savez(tmp_path / "far.npz", **{**npz[1], "y_train": labels})
        message = refusal(tmp_path / "far.npz")
        assert "must have at most 10,000 classes" in message
        assert f"Received: {label + 1:,} classes of 26 images" in message


@pytest.mark.parametrize("name", ["x_train", "y_test"])
def test_arrays_that_are_missing_are_named(npz, tmp_path, refusal, name):
    left = {key: value for key, value in npz[1].items() if key != name}
    np.savez(tmp_path / "less.npz", **left)
    assert f"it has no {name}, only [" in refusal(tmp_path / "less.npz")


def test_changed_bytes_are_noticed(npz, tmp_path, refusal):
    """Also those of the last array, stored or packed."""
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "whole.npz", **npz[1])
        content = bytearray((tmp_path / "whole.npz").read_bytes())
        with zipfile.ZipFile(tmp_path / "whole.npz") as archive:
            places = [member.header_offset for member in archive.infolist()]
        for place in places:
            changed = content.copy()
            changed[place + 100] ^= 4  # behind the name
            (tmp_path / "changed.npz").write_bytes(changed)
            assert "must be a NumPy .npz file" in refusal(tmp_path / "changed.npz")


def test_a_pipe_does_not_hang(tmp_path, refusal):
    os.mkfifo(tmp_path / "pipe.npz")
    assert "no regular file" in refusal(tmp_path / "pipe.npz")
