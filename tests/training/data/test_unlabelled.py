"""Samples without labels, from folders and files of arrays."""

import os

import helpers
import keras
import numpy as np
import pytest
from PIL import Image

from keras_roots.training.data import WithoutLabels, open_unlabelled


def network(*shapes):
    """Takes inputs of some shapes by the names a, b, ..."""
    inputs = [
        keras.Input(shape, name=name)
        for name, shape in zip("abc", shapes, strict=False)
    ]
    parts = [keras.layers.GlobalAveragePooling2D()(tensor) for tensor in inputs]
    joined = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    return keras.Model(inputs, keras.layers.Dense(2)(joined))


def left_and_right(path, mode="RGB", size=(40, 20)):
    """Writes an image that is dark on the left and light on the right."""
    width, height = size
    pixels = np.zeros((height, width, 3), "uint8")
    pixels[:, width // 2 :] = 200
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    for index in range(8):
        left_and_right(tmp_path / "photos" / f"{index}.png")
    left_and_right(tmp_path / "photos" / "more" / "deep" / "8.jpg")
    left_and_right(tmp_path / "photos" / "9.png", "L")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return str(tmp_path / "photos")


@pytest.mark.parametrize("shape", [(10, 20, 3), (12, 6, 3), (16, 16, 1)])
def test_a_folder_of_images_of_the_size_of_the_network(folder, shape):
    model = network(shape)
    found = open_unlabelled(folder, model)
    assert len(found.fitted) + len(found.held_out) == 10
    (images,) = found.fitted.arrays
    assert images.shape[1:] == shape
    # The middle of the photograph, at its own aspect, and neither scaled nor mirrored.
    np.testing.assert_allclose(images[:, :, 0], 0, atol=3)
    np.testing.assert_allclose(images[:, :, -1], 200, atol=3)
    assert found.original is model
    assert found.sample(model, 3, 0).arrays[0].shape == (3, *shape)


def test_arrays_by_the_names_of_the_inputs(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "b": rng.normal(size=(10, 4, 6, 1)),
        "a": rng.normal(size=(10, 8, 8, 2)),
        "y": np.arange(10),
    }
    arrays["b"][:, 0, 0, 0] = arrays["a"][:, 0, 0, 0] = np.arange(10)
    np.savez(tmp_path / "samples.npz", **arrays)
    model = network((8, 8, 2), (4, 6, 1))
    found = WithoutLabels(str(tmp_path / "samples.npz")).open(model, 0)
    firsts = []
    for part in (found.fitted, found.held_out):
        one, other = part.arrays
        np.testing.assert_array_equal(one[:, 0, 0, 0], other[:, 0, 0, 0])
        firsts += one[:, 0, 0, 0].tolist()
    assert sorted(firsts) == list(range(10))


def test_one_array_of_any_name_and_type(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (6, 8, 8, 1)).astype("uint16")
    np.savez(tmp_path / "thermal.npz", frames=values)
    found = open_unlabelled(str(tmp_path / "thermal.npz"), network((8, 8, 1)))
    assert max(part.arrays[0].max() for part in (found.fitted, found.held_out)) > 255


@pytest.mark.parametrize(
    "arrays, message",
    [
        (
            {"x": np.zeros((4, 8, 8, 2))},
            r"x.npz` must be .*\(n, 8, 8, 1\)",
        ),
        ({"x": np.full((4, 8, 8, 1), np.nan)}, "must be finite"),
        ({"x": np.zeros((1, 8, 8, 1))}, "two images or more"),
        ({"p": np.zeros(2), "q": np.zeros(2)}, r"\['a'\]. Received: \['p', 'q'\]"),
        ({"x": np.array([{}])}, "array of numbers|arrays of numbers"),
    ],
    ids=["shape", "NaN", "one", "names", "objects"],
)
def test_arrays_that_do_not_fit(arrays, message, tmp_path):
    path = str(tmp_path / "x.npz")
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message):
        open_unlabelled(path, network((8, 8, 1)))


def test_inputs_of_different_numbers_of_samples(tmp_path):
    path = str(tmp_path / "x.npz")
    np.savez(path, a=np.zeros((4, 8, 8, 2)), b=np.zeros((5, 4, 6, 1)))
    with pytest.raises(ValueError, match="as many samples for every input"):
        open_unlabelled(path, network((8, 8, 2), (4, 6, 1)))


def test_what_is_no_file_of_arrays(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    (tmp_path / "bad.txt").write_text("nothing")
    for name, message in (
        ("bad.npz", "must be a NumPy .npz file"),
        ("bad.txt", "must be a folder of images or an .npz file"),
        ("none.npz", "must be a folder of images or an .npz file"),
        ("none", "must be a folder of images or an .npz file"),
    ):
        with pytest.raises(ValueError, match=f"`images`.*{message}"):
            open_unlabelled(str(tmp_path / name), network((8, 8, 1)))


def test_folders_that_cannot_be_used(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="must hold images, .*Found none"):
        open_unlabelled(str(tmp_path / "empty"), helpers.convolutions())
    for shapes in ([(8, 8, 4)], [(None, None, 3)], [(8, 8, 3), (8, 8, 3)]):
        with pytest.raises(ValueError, match="an .npz file of arrays. Received: a fo"):
            open_unlabelled(folder, network(*shapes))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8nothing")
    with pytest.raises(ValueError, match="1 unreadable images: .*broken.jpg"):
        open_unlabelled(folder, helpers.convolutions())


def test_hidden_images_are_left_out(folder, tmp_path, capsys):
    left_and_right(tmp_path / "photos" / ".ipynb_checkpoints" / "0.png")
    os.mkfifo(tmp_path / "photos" / "pipe.png")
    found = open_unlabelled(folder, network((10, 20, 3)))
    assert len(found.fitted) + len(found.held_out) == 10
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": left out ")[2] for line in lines] == [
        f"1 hidden files and folders: {folder}/.ipynb_checkpoints",
        f"1 that are no regular files: {folder}/pipe.png",
    ]


def test_arrays_that_are_not_asked_for_may_be_anything(tmp_path):
    path = str(tmp_path / "x.npz")
    names = np.array([f"{index}.png" for index in range(4)])
    np.savez(path, a=np.zeros((4, 8, 8, 1)), names=names, objects=np.array([{}]))
    assert len(open_unlabelled(path, network((8, 8, 1))).fitted) == 3
