"""Files of images: where they lie, which ones TensorFlow decodes, the others as PNG.

TensorFlow takes the indices of a palette for grey values in BMP files, and knows no
TIFF, WebP nor what EXIF says of a photograph's orientation.
"""

import dataclasses
import errno
import io
import os
import stat
import sys
from collections import defaultdict, deque
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from keras_roots.utils import checks

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

_ORIENTATION = 0x0112  # EXIF tag; 1 is upright
# By format, whatever the name of the file: the modes that TensorFlow decodes.
_DECODED = {
    "JPEG": ("L", "RGB"),
    "MPO": ("L", "RGB"),  # a JPEG with further pictures behind it, as of telephones
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"),  # 16 bits: the upper 8
}
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")


# What is left out of folders.
HIDDEN = "hidden files and folders"
CIRCLES = "links in circles or to what is there already"

_SHOWN = 5  # files that a message names


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """An image that cannot be read.

    Attributes:
        path: The file.
        error: Why.
    """

    path: str
    error: Exception


class Skipped:
    """What is left out of a folder, which is told in one line of each kind."""

    def __init__(self):
        self._paths = defaultdict(list)

    def add(self, kind: str, path: str | os.PathLike) -> None:
        """Notes a path that is left out, and as what."""
        self._paths[kind].append(os.fspath(path))

    def tell(self, argument: str, folder: str) -> None:
        """Writes the lines to the standard error stream."""
        for kind, paths in self._paths.items():
            print(
                f"note: `{argument}` folder {folder!r}: left out {len(paths)} {kind}: "
                f"{_listed(map(printable, paths))}",
                file=sys.stderr,
                flush=True,
            )


def is_hidden(name: str) -> bool:
    """Returns whether a name is of what systems and programs put beside one's files.

    Such as `.ipynb_checkpoints`, `__MACOSX` and `._photo.jpg`.
    """
    return name.startswith(".") or name == "__MACOSX"


def list_images(folder: str, skipped: Skipped) -> list[str]:
    """Returns the files in a folder, and in folders under it, that are named as images.

    Links are followed. Hidden files and folders are left out, links to a folder that
    holds them or was seen before, and what is no regular file, such as a pipe.

    Args:
        folder: The folder.
        skipped: Gets what is left out.

    Raises:
        ValueError: A folder cannot be read.
    """
    found, seen, waiting = [], set(), deque([os.fspath(folder)])
    while waiting:
        where = waiting.pop()
        real = os.path.realpath(where)
        if real in seen:
            skipped.add(CIRCLES, where)
            continue
        seen.add(real)
        try:
            entries = sorted(os.listdir(where))
        except OSError as error:
            raise ValueError(
                f"A folder of images cannot be read: {where!r} ({error.strerror})"
            ) from error
        for path in (os.path.join(where, name) for name in entries):
            _sort(path, found, waiting, skipped)
    # As of paths: the order decides on the images that are held out.
    return sorted(found, key=Path)


def _sort(path, found, waiting, skipped) -> None:
    """Puts a path where it belongs, without opening it."""
    name = os.path.basename(path)
    image = Path(path).suffix.lower() in SUFFIXES
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if image and error.errno == errno.ELOOP:
            skipped.add(CIRCLES, path)
        elif image:
            found.append(path)  # a link to nowhere is an image that cannot be read
        return
    if stat.S_ISDIR(mode):
        if is_hidden(name):
            skipped.add(HIDDEN, path)
        elif os.path.islink(path):
            waiting.appendleft(path)  # after all that it might lead to
        else:
            waiting.append(path)
    elif image and is_hidden(name):
        skipped.add(HIDDEN, path)
    elif image and not stat.S_ISREG(mode):
        skipped.add("that are no regular files", path)
    elif image:
        found.append(path)


def check_readable(argument: str, folder: str, read: Iterable) -> None:
    """Checks that all images could be read.

    Args:
        argument: Name of the argument that the folder was given as.
        folder: The folder.
        read: What reading gave; `Unreadable` ones among it.

    Raises:
        ValueError: Some could not.
    """
    bad = [each for each in read if isinstance(each, Unreadable)]
    if bad:
        lines = sorted(
            f"{printable(each.path)} ({checks.quoted(each.error)})" for each in bad
        )
        raise ValueError(
            f"`{argument}` folder {folder!r} has {len(bad)} unreadable images: "
            + _listed(lines)
        )


def printable(path: str) -> str:
    """Returns a path, escaped where it is no UTF-8 or would end a line."""
    known = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return known if known.isprintable() else repr(known)[1:-1]


def _listed(lines) -> str:
    lines = list(lines)
    return ", ".join(lines[:_SHOWN]) + (", ..." if len(lines) > _SHOWN else "")


def is_decoded(path: str) -> bool:
    """Reads an image; returns whether TensorFlow decodes it as `to_png` would.

    TensorFlow decodes those that it is said to: it refuses damages that Pillow mends.

    Args:
        path: The file.

    Raises:
        ValueError: It holds no image, only a part of one, or values of no known range.
    """
    import tensorflow as tf

    try:
        with _open(path) as image:
            mode, form = image.mode, image.format
            native = mode in _DECODED.get(form, ())
            if native and image.getexif().get(_ORIENTATION, 1) == 1:
                encoded = tf.io.read_file(os.fsencode(path))
                if form == "PNG":
                    tf.io.decode_png(encoded, channels=3)
                else:
                    tf.io.decode_jpeg(encoded, channels=3, ratio=8)  # less to compute
                return True
            _pixels(image)
            return False
    except tf.errors.OpError as error:
        raise ValueError(f"TensorFlow: {error.message}") from error
    except Exception as error:  # Pillow's are of any kind
        raise ValueError(str(error)) from error


def to_png(path: bytes | str) -> bytes:
    """Returns an image as a PNG file of 8-bit RGB, upright.

    Of an animation it is the first picture; transparency is left out; of 16 bits it
    has the upper 8.
    """
    with _open(path) as image:
        encoded = io.BytesIO()
        _pixels(image).save(encoded, "PNG", compress_level=0)
        return encoded.getvalue()


def _open(path):
    from PIL import Image

    image = Image.open(path)
    if image.format == "PNG":
        image.verify()  # its checksums, which Pillow ignores otherwise
        image = Image.open(path)
    return image


def _pixels(image):
    from PIL import Image, ImageOps

    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode in _SIXTEEN_BITS:
        upper = np.asarray(upright).astype("uint16") >> 8
        upright = Image.fromarray(upper.astype("uint8"))
    if upright.mode in ("F", "I"):
        raise ValueError(
            f"pixels of mode {upright.mode!r}, whose range is unknown: save it with 8 "
            "or 16 bits"
        )
    return upright.convert("RGB")
