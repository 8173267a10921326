"""Image files of every kind: their pixels, as those of a plain PNG."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from keras_roots.training.data import datasets
from keras_roots.training.data.image_files import (
    Skipped,
    is_decoded,
    list_images,
    printable,
    to_png,
)

# Blocks of 36 colours: few enough for a palette, large enough for a JPEG.
_VALUES = np.array([[0, 90, 250], [40, 130, 210], [200, 10, 60]])
COLOUR = np.stack(
    [np.kron(np.roll(_VALUES, shift, 0), np.ones((16, 16))) for shift in range(3)], -1
).astype("uint8")
GREY = COLOUR[..., :1].repeat(3, -1)
RGB = Image.fromarray(COLOUR)
PALETTE = RGB.quantize(36)
WIDE = Image.fromarray((GREY[..., 0] * 256.0 + 77).astype("uint16"))
BILEVEL = Image.fromarray(COLOUR[..., 0] > 100)


def _oriented(value):
    """What EXIF says of an image that a camera stored turned."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


# Name of the file: image, format, arguments, pixels, tolerance, TensorFlow decodes it.
FILES = {
    "plain.png": (RGB, "PNG", {}, COLOUR, 0, True),
    "plain.jpg": (RGB, "JPEG", {"quality": 100, "subsampling": 0}, COLOUR, 3, True),
    "plain.bmp": (RGB, "BMP", {}, COLOUR, 0, False),
    "palette.bmp": (PALETTE, "BMP", {}, COLOUR, 0, False),
    "palette.png": (PALETTE, "PNG", {}, COLOUR, 0, True),
    "clear.png": (PALETTE, "PNG", {"transparency": 0}, COLOUR, 0, True),
    "palette.gif": (PALETTE, "GIF", {}, COLOUR, 0, False),
    "moving.gif": (
        PALETTE,
        "GIF",
        {"save_all": True, "append_images": [Image.new("RGB", RGB.size)]},
        COLOUR,
        0,
        False,
    ),
    "bits.bmp": (BILEVEL, "BMP", {}, 255 * (GREY > 100), 0, False),
    "bits.png": (BILEVEL, "PNG", {}, 255 * (GREY > 100), 0, True),
    "grey.bmp": (Image.fromarray(GREY[..., 0]), "BMP", {}, GREY, 0, False),
    "grey.jpg": (
        Image.fromarray(GREY[..., 0]),
        "JPEG",
        {"quality": 100},
        GREY,
        3,
        True,
    ),
    "alpha.png": (
        Image.fromarray(np.concatenate([COLOUR, COLOUR[..., :1]], -1)),
        "PNG",
        {},
        COLOUR,
        0,
        True,
    ),
    "grey_alpha.png": (Image.fromarray(GREY[..., :2], "LA"), "PNG", {}, GREY, 0, True),
    "cmyk.jpg": (RGB.convert("CMYK"), "JPEG", {"quality": 100}, COLOUR, 4, False),
    "cmyk.tif": (RGB.convert("CMYK"), "TIFF", {}, COLOUR, 0, False),
    "wide.png": (WIDE, "PNG", {}, GREY, 0, True),
    "wide.tiff": (WIDE, "TIFF", {}, GREY, 0, False),
    "packed.tif": (RGB, "TIFF", {"compression": "tiff_lzw"}, COLOUR, 0, False),
    "named.jpg": (RGB, "TIFF", {}, COLOUR, 0, False),
    "icon.png": (
        RGB,
        "ICO",
        {"sizes": [RGB.size]},
        COLOUR,
        0,
        False,
    ),
    "bits.jpg": (BILEVEL, "BMP", {}, 255 * (GREY > 100), 0, False),
    "plain.webp": (RGB, "WEBP", {"lossless": True}, COLOUR, 0, False),
    "turned.jpg": (
        RGB.transpose(Image.Transpose.ROTATE_90),
        "JPEG",
        {"quality": 100, "subsampling": 0, "exif": _oriented(6)},
        COLOUR,
        3,
        False,
    ),
    "mirrored.png": (
        RGB.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "PNG",
        {"exif": _oriented(2)},
        COLOUR,
        0,
        False,
    ),
}


def _write(path, image, form, arguments):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, form, **arguments)


@pytest.mark.parametrize("name", FILES)
def test_files_are_read_as_what_they_hold(name, tmp_path):
    image, form, arguments, pixels, tolerance, decoded = FILES[name]
    path = tmp_path / name
    _write(path, image, form, arguments)
    assert is_decoded(str(path)) == decoded
    found = np.asarray(Image.open(io.BytesIO(to_png(str(path)))))
    assert found.dtype == "uint8"
    np.testing.assert_allclose(found.astype("int"), pixels, atol=tolerance)


def test_folders_of_all_of_them(tmp_path, read_all):
    """In both orders of a class: what TensorFlow decodes, beside what it does not."""
    for name, (image, form, arguments, _, _, _) in FILES.items():
        _write(tmp_path / "train" / "one" / name, image, form, arguments)
    for index, name in enumerate(FILES):
        plain = Image.fromarray(FILES[name][3].astype("uint8"))
        _write(tmp_path / "train" / "two" / f"{index}.png", plain, "PNG", {})
        _write(tmp_path / "test" / "one" / name, plain, "PNG", {})
    opened = datasets.open_dataset(str(tmp_path))
    assert opened.train.count == 2 * len(FILES)
    found = dict(zip(sorted(FILES), read_all(opened.train, 24)[0], strict=False))
    expected = dict(zip(sorted(FILES), read_all(opened.test, 24)[0], strict=True))
    for name, row in FILES.items():
        # A resized edge may differ by more than the pixels beside it.
        np.testing.assert_allclose(
            found[name], expected[name], atol=2 * row[4] + 1e-3, err_msg=name
        )
    shuffled = opened.train.stream(3)
    assert sum(1 for _ in shuffled) == opened.train.count


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("depth.tif", np.ones((4, 4), "float32"), "mode 'F', whose range is unknown"),
        ("deep.tif", np.ones((4, 4), "int32"), "mode 'I', whose range is unknown"),
        ("text.webp", b"no image", "cannot identify image file"),
        ("empty.png", b"", "cannot identify image file"),
    ],
)
def test_what_cannot_be_read_is_named(name, content, message, tmp_path, refusal):
    for label in "aaabbb":
        number = len(list(tmp_path.rglob("*.png")))
        _write(tmp_path / label / f"{number}.png", RGB, "PNG", {})
    path = tmp_path / "a" / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Image.fromarray(content).save(path)
    found = refusal(tmp_path)
    assert "1 unreadable" in found and name in found and message in found


def test_images_are_listed_in_the_order_of_their_paths(tmp_path):
    names = ["b/1.png", "a.png", "b.png", "b/c/0.JPG", "notes.txt", "b/a.tiff"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d").symlink_to(tmp_path / "b")
    skipped = Skipped()
    found = list_images(tmp_path, skipped)
    ordered = ["a.png", "b/1.png", "b/a.tiff", "b/c/0.JPG", "b.png"]
    assert found == [str(tmp_path / name) for name in ordered]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    listdir = os.listdir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(ValueError, match="cannot be read: .*closed' .Permission den"):
        list_images(tmp_path, Skipped())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b c.png", "a/b c.png"),
        ("h\u00e9.png", "h\u00e9.png"),
        ("\udcff.png", "\\xff.png"),
        ("two\nlines.png", "two\\nlines.png"),
        ("\x1b[31m.png", "\\x1b[31m.png"),
    ],
)
def test_names_are_printable(name, expected):
    assert printable(name) == expected


@pytest.mark.parametrize("mode", ["RGB", "P", "L"])
def test_damaged_pngs_are_refused_where_pillow_ignores_checksums(mode, tmp_path):
    """Also where a PNG is made for TensorFlow."""
    path = tmp_path / "0.png"
    RGB.convert(mode).save(path, exif=_oriented(3))
    content = bytearray(path.read_bytes())
    content[content.rindex(b"IEND") - 5] ^= 1  # the checksum of the pixels
    path.write_bytes(content)
    with Image.open(path) as image:
        image.load()
    for read in (is_decoded, to_png):
        with pytest.raises((ValueError, SyntaxError), match="checksum|CRC"):
            read(str(path))
