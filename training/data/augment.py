"""Augmentations: pure functions of a batch of images and of uniform random numbers.

They give the same images on every backend and device, and when a run is resumed.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_roots.utils import checks


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """An augmentation of images, and how pipelines of larger photographs cut them.

    Attributes:
        draws: Uniform random numbers in [0, 1) that it takes per image.
        apply: Function `(images, draws, fill)` to images: float32 `(batch, height,
            width, channels)` with pixels 0 to 255, float32 `(batch, draws)`, and the
            colour of borders, one value per channel.
        crop: How a window is cut from a photograph before: `"centre"`, `"random"` (the
            short side resized to 256/224 of the crop) or `"scale_aspect"`, the only one
            that cuts images of arrays too.
        flip_draw: Index of the random number that decides whether an image is flipped;
            `None` if images are never flipped.
        flip: One of `FLIPS`: where that number comes from.
    """

    draws: int
    apply: Callable
    crop: str = "centre"
    flip_draw: int | None = None
    flip: str = "random"

    @property
    def cuts_arrays(self) -> bool:
        """Whether it cuts windows from images of arrays."""
        return self.crop == "scale_aspect"

    @property
    def alternates(self) -> bool:
        """Whether an image's flip depends on the image and the epoch alone."""
        return self.flip == "alternating"


# Random: by chance, anew in every epoch. Alternating: a random half of the images in
# the first epoch, in every later one those that were not flipped in the epoch before.
FLIPS = ("random", "alternating")


def alternate(first, epoch):
    """Returns the numbers that decide on alternating flips in an epoch.

    Args:
        first: Those of the first epoch, a number per image: float32 in [0, 1), of 24
            bits, as random generators give them.
        epoch: Number of the epoch, an integer or a tensor.

    Returns:
        Numbers in [0, 1), below a half in every other epoch.
    """
    return (first + (epoch % 2) / 2) % 1


PIXELS = (0.0, 255.0)  # the range of the images, before and after

WINDOW_DRAWS = 4  # random numbers that say where to cut an image


def scale_aspect(sides, draws, xp=ops):
    """Returns windows of 8 to 100 % of an image's area, their sides 3:4 to 4:3.

    Szegedy et al. (2015), Going Deeper with Convolutions, section 6.

    Args:
        sides: Height and width of the images, float32 `(..., 2)`, in pixels.
        draws: Uniform random numbers in [0, 1), `(..., 4)`.
        xp: What computes it: `keras.ops` or `tensorflow`.

    Returns:
        First row and column, which are to be rounded down, and height and width, whole
        numbers, both float32 `(..., 2)`.
    """
    area = sides[..., 0] * sides[..., 1] * (0.08 + 0.92 * draws[..., 0])
    aspect = xp.exp((2 * draws[..., 1] - 1) * float(np.log(4 / 3)))
    window = xp.sqrt(xp.stack([area / aspect, area * aspect], -1))
    window = xp.maximum(xp.round(xp.minimum(window, sides)), 1.0)
    return draws[..., 2:4] * (sides - window + 1.0), window


def cut(images, draws, size: int):
    """Cuts a window of each image by `scale_aspect`, and resizes it.

    Args:
        images: `(batch, height, width, channels)`.
        draws: Uniform random numbers in [0, 1), `(batch, 4)`.
        size: Height and width of the result, in pixels.

    Returns:
        float32 `(batch, size, size, channels)`, pixels 0 to 255: as `resize` makes
        them of the windows.
    """
    height, width = images.shape[1:3]
    start, window = scale_aspect(np.array([height, width], "float32"), draws)
    start = ops.floor(start)
    rows = _bilinear(start[:, 0], window[:, 0], height, size)
    columns = _bilinear(start[:, 1], window[:, 1], width, size)
    images = ops.cast(images, "float32")
    images = ops.einsum("nih,nhwc->niwc", rows, images)
    return _clip(ops.einsum("njw,niwc->nijc", columns, images))


def _bilinear(start, extent, side, size):
    """Returns the weights, `(batch, size, side)`, that resize a part of an axis."""
    start, extent = start[:, None, None], extent[:, None, None]
    stride = extent / size
    centre = start + (ops.arange(size, dtype="float32")[:, None] + 0.5) * stride
    pixel = ops.arange(side, dtype="float32") + 0.5
    # Antialiased: a triangle that is as wide as a pixel of the coarser grid.
    weights = 1 - ops.abs(pixel - centre) / ops.maximum(stride, 1.0)
    inside = ops.logical_and(pixel > start, pixel < start + extent)
    weights = ops.where(inside, ops.maximum(weights, 0.0), 0.0)
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def pad_crop(images, draws, fill, pad=4):
    """Pads by 4 pixels of `fill`, then cuts a window of the old size at random.

    Deep Roots, appendix A.1: the padding comes after mean subtraction, so its colour is
    the mean.
    """
    count, (height, width, channels) = ops.shape(images)[0], images.shape[1:]
    # A border per channel, which `ops.pad` cannot make.
    for axis, shape in (
        (1, (count, pad, width, channels)),
        (2, (count, height + 2 * pad, pad, channels)),
    ):
        border = ops.broadcast_to(ops.convert_to_tensor(fill, images.dtype), shape)
        images = ops.concatenate([border, images, border], axis)
    offsets = ops.cast(draws[:, :2] * (2 * pad + 1), "int32")
    rows = offsets[:, :1] + ops.arange(height, dtype="int32")
    columns = offsets[:, 1:2] + ops.arange(width, dtype="int32")
    return _take(images, rows, columns)


def mirror(images, draws):
    """Flips images left to right where their draw, `(batch, 1)`, is below a half."""
    height, width = images.shape[1:3]
    rows = ops.arange(height, dtype="int32")[None]
    columns = ops.arange(width, dtype="int32")
    return _take(images, rows, ops.where(draws < 0.5, columns[::-1], columns))


def _take(images, rows, columns):
    """Takes rows and columns of each image; several times faster than along axes."""
    height, width, channels = images.shape[1:]
    first = ops.arange(ops.shape(images)[0], dtype="int32")[:, None] * height
    pixels = ((first + rows) * width)[:, :, None] + columns[:, None, :]
    return ops.take(ops.reshape(images, (-1, channels)), pixels, axis=0)


# Lighting noise along the principal components of ImageNet's colours
# (Krizhevsky et al. 2012, section 4.1), for pixels 0 to 255.
_COLOUR_EIGENVALUES = np.array([0.2175, 0.0188, 0.0045], "float32") * 255
_COLOUR_EIGENVECTORS = np.array(
    [
        [-0.5675, 0.7192, 0.4009],
        [-0.5808, -0.0045, -0.8140],
        [-0.5836, -0.6948, 0.4203],
    ],
    "float32",
)


def colour(images, draws, strength=0.4, lighting=0.1):
    """Varies brightness, contrast, saturation and the colour of the light.

    The colour augmentation of ResNet-200's training (Deep Roots, section 5.3, after
    fb.resnet.torch). `draws` is `(batch, 6)`: three factors and three light components.
    """
    factors = 1 + strength * (2 * draws[:, :3] - 1)
    brightness, contrast, saturation = (
        ops.reshape(factors[:, i], (-1, 1, 1, 1)) for i in range(3)
    )
    images = images * brightness
    grey = _grey(images)
    images = (
        images - ops.mean(grey, axis=(1, 2), keepdims=True)
    ) * contrast + ops.mean(grey, axis=(1, 2), keepdims=True)
    grey = _grey(images)
    images = (images - grey) * saturation + grey
    # Uniform numbers of the same variance replace the normal ones of the paper.
    amounts = (2 * draws[:, 3:6] - 1) * (3**0.5 * lighting)
    light = ops.matmul(amounts * _COLOUR_EIGENVALUES, _COLOUR_EIGENVECTORS.T)
    return _clip(images + ops.reshape(light, (-1, 1, 1, 3)))


def _grey(images):
    weights = ops.convert_to_tensor([0.299, 0.587, 0.114], images.dtype)
    return ops.sum(images * weights, axis=-1, keepdims=True)


AUGMENTATIONS = {
    "none": Augmentation(0, lambda images, draws, fill: images),
    "pad_crop": Augmentation(2, pad_crop),
    "pad_crop_mirror": Augmentation(
        3,
        lambda images, draws, fill: mirror(pad_crop(images, draws, fill), draws[:, 2:]),
        flip_draw=2,
    ),
    "crop_mirror": Augmentation(
        1,
        lambda images, draws, fill: mirror(images, draws),
        crop="random",
        flip_draw=0,
    ),
    "scale_aspect_mirror": Augmentation(
        1,
        lambda images, draws, fill: mirror(images, draws),
        crop="scale_aspect",
        flip_draw=0,
    ),
    "scale_aspect_colour": Augmentation(
        7,
        lambda images, draws, fill: colour(mirror(images, draws[:, :1]), draws[:, 1:]),
        crop="scale_aspect",
        flip_draw=0,
    ),
}


def get_augmentation(name: str, flip: str = "random") -> Augmentation:
    """Returns an augmentation by name.

    Args:
        name: One of `AUGMENTATIONS`.
        flip: One of `FLIPS`.

    Raises:
        ValueError: There is no augmentation of this name, or it flips no images that
            could alternate.
    """
    found = AUGMENTATIONS[checks.choice("augmentation", name, AUGMENTATIONS)]
    checks.choice("flip", flip, FLIPS)
    if flip != "random" and found.flip_draw is None:
        flipping = [key for key, a in AUGMENTATIONS.items() if a.flip_draw is not None]
        raise ValueError(
            f"`flip` can be {flip!r} where `augmentation` flips images: one of "
            f"{flipping}. Received: flip={flip!r}, augmentation={name!r}"
        )
    return dataclasses.replace(found, flip=flip)


def resize(images, size: int):
    """Resizes images of pixels 0 to 255, bilinear with antialiasing, to the same.

    Args:
        images: `(batch, height, width, channels)`.
        size: Height and width of the result, in pixels.
    """
    images = ops.cast(images, "float32")
    if images.shape[1:3] == (size, size):
        return images
    return _clip(
        keras.ops.image.resize(
            images, (size, size), antialias=True, data_format="channels_last"
        )
    )


def _clip(images):
    """Keeps pixels from 0 to 255, which weights that sum to 1 + 1e-7 overshoot."""
    return ops.clip(images, *PIXELS)
