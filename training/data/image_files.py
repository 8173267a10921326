"""Files of images: which ones TensorFlow decodes as they are, and the others as PNG.

TensorFlow takes the indices of a palette for grey values in BMP files, and knows no
TIFF, WebP nor what EXIF says of a photograph's orientation.
"""

import io

import numpy as np

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

_ORIENTATION = 0x0112  # EXIF tag; 1 is upright
# By format, whatever the name of the file: the modes that TensorFlow decodes.
_DECODED = {
    "JPEG": ("L", "RGB"),
    "MPO": ("L", "RGB"),  # a JPEG with further pictures behind it, as of telephones
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"),  # 16 bits: the upper 8
}
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")


def is_decoded(path: str) -> bool:
    """Reads an image; returns whether TensorFlow decodes it as `to_png` would.

    Args:
        path: The file.

    Raises:
        ValueError: It holds no image, only a part of one, or values of no known range.
    """
    try:
        with _open(path) as image:
            if image.mode in _DECODED.get(image.format, ()):
                image.draft(image.mode, (8, 8))  # JPEGs: an eighth of their size
                image.load()
                return image.getexif().get(_ORIENTATION, 1) == 1
            _pixels(image)
            return False
    except Exception as error:
        raise ValueError(f"{path} ({error})") from error


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

    return Image.open(path)


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
