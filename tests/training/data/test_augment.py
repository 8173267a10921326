import numpy as np
import pytest

from keras_roots.training.data import augment, splits

FILL = (10.0, 20.0, 30.0)


def _images(count=3, size=9):
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, (count, size, size, 3)).astype("float32")


@pytest.mark.parametrize("offset", [(0, 0), (4, 4), (8, 8), (1, 7)])
def test_pad_crop_cuts_the_window_of_its_draws(offset):
    images = _images()
    draws = np.tile((np.array(offset, "float32") + 0.5) / 9, (len(images), 1))
    got = np.asarray(augment.pad_crop(images, draws, FILL))
    padded = np.empty((3, 17, 17, 3), "float32")
    padded[:] = FILL
    padded[:, 4:13, 4:13] = images
    row, column = offset
    want = padded[:, row : row + 9, column : column + 9]
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_each_image_has_its_own_window():
    images = np.repeat(_images(1), 2, axis=0)
    draws = np.array([[0.0, 0.0], [0.99, 0.99]], "float32")
    first, second = np.asarray(augment.pad_crop(images, draws, FILL))
    np.testing.assert_allclose(first[4:, 4:], images[0, :5, :5], atol=1e-4)
    np.testing.assert_allclose(second[:5, :5], images[1, 4:, 4:], atol=1e-4)


def test_mirror_turns_by_its_draws():
    images = _images(2)
    got = np.asarray(augment.mirror(images, np.array([[0.1], [0.9]], "float32")))
    np.testing.assert_array_equal(got[0], images[0, :, ::-1])
    np.testing.assert_array_equal(got[1], images[1])


@pytest.mark.parametrize("size", [4, 9, 20])
def test_windows_are_cut_as_from_photographs(size):
    """The windows of photographs are TensorFlow's to decode, cut and resize."""
    tf = pytest.importorskip("tensorflow")
    images = np.random.default_rng(0).integers(0, 256, (6, 15, 22, 3), "uint8")
    draws = np.random.default_rng(1).random((6, 4), "float32")
    draws[0] = 0.999  # the whole of it, nearly
    expected = [
        splits.crop(tf.io.encode_png(image), size, "scale_aspect", tf.constant(draw))
        for image, draw in zip(images, draws, strict=True)
    ]
    found = np.asarray(augment.cut(images, draws, size))
    np.testing.assert_allclose(found, np.stack(expected), atol=5e-3)


def test_windows_have_the_areas_and_aspects_of_the_paper():
    draws = np.random.default_rng(0).random((4000, 4), "float32")
    sides = np.full((4000, 2), 400, "float32")
    start, window = map(np.asarray, augment.scale_aspect(sides, draws))
    assert np.all(np.floor(start) >= 0) and np.all(np.floor(start) + window <= 400)
    area, aspect = window.prod(1) / 400**2, window[:, 1] / window[:, 0]
    assert 0.075 < area.min() < 0.1 and area.max() <= 1
    assert 0.74 < aspect.min() < 0.78 and 1.28 < aspect.max() < 1.35
    # Large ones of a narrow aspect are cut off at the border, so the mean is lower.
    assert 0.48 < area.mean() < 0.545


def test_colour_of_middling_draws_changes_nothing():
    images = _images()
    got = augment.colour(images, np.full((3, 6), 0.5, "float32"))
    np.testing.assert_allclose(np.asarray(got), images, atol=1e-3)


def test_brightness_scales_and_clips():
    images = _images()
    draws = np.full((3, 6), 0.5, "float32")
    draws[:, 0] = 1.0
    got = np.asarray(augment.colour(images, draws))
    np.testing.assert_allclose(got, np.clip(images * 1.4, 0, 255), atol=1e-2)


def test_saturation_moves_towards_grey():
    images = _images()
    draws = np.full((3, 6), 0.5, "float32")
    draws[:, 2] = 0.0
    got = np.asarray(augment.colour(images, draws))
    grey = (images @ np.array([0.299, 0.587, 0.114], "float32"))[..., None]
    np.testing.assert_allclose(got, 0.6 * images + 0.4 * grey, atol=1e-2)


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_every_augmentation_keeps_shape_and_range(name):
    augmentation = augment.get_augmentation(name)
    images = _images(4, 8)
    draws = np.random.default_rng(1).random((4, augmentation.draws), "float32")
    got = np.asarray(augmentation.apply(images, draws, FILL))
    assert got.shape == images.shape
    assert got.min() >= 0
    assert got.max() <= 255.01


def test_unknown_augmentation():
    with pytest.raises(ValueError, match="pad_crop_mirror.*Received.*'spin'"):
        augment.get_augmentation("spin")


FLIPPING = [
    name for name, a in augment.AUGMENTATIONS.items() if a.flip_draw is not None
]


@pytest.mark.parametrize("name", FLIPPING)
def test_one_number_decides_whether_an_image_is_flipped(name):
    augmentation = augment.get_augmentation(name, "alternating")
    images = _images(2, 8)
    draws = np.full((2, augmentation.draws), 0.5, "float32")
    draws[:, augmentation.flip_draw] = [0.49, 0.5]
    flipped, plain = np.asarray(augmentation.apply(images[[0, 0]], draws, FILL))
    np.testing.assert_allclose(flipped, plain[:, ::-1], atol=1e-3)
    np.testing.assert_allclose(plain, images[0], atol=1e-3)


def test_flips_alternate_from_epoch_to_epoch():
    first = np.random.default_rng(0).random(1000, "float32")
    first[:3] = [0, 0.5, 0.5 - 2**-24]
    flipped = [augment.alternate(first, epoch) < 0.5 for epoch in range(4)]
    np.testing.assert_array_equal(flipped[0], first < 0.5)
    np.testing.assert_array_equal(flipped[1], first >= 0.5)
    np.testing.assert_array_equal(flipped[2], flipped[0])
    np.testing.assert_array_equal(flipped[3], flipped[1])


@pytest.mark.parametrize("name", sorted(augment.AUGMENTATIONS.keys() - {*FLIPPING}))
def test_what_flips_nothing_cannot_alternate(name):
    with pytest.raises(ValueError, match=f"`flip`.*pad_crop_mirror.*n='{name}'"):
        augment.get_augmentation(name, "alternating")


def test_unknown_flip():
    with pytest.raises(ValueError, match="`flip` must be one of.*flip='never'"):
        augment.get_augmentation("crop_mirror", "never")


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("side", [8, 28, 32, 64])
def test_resized_images_keep_the_range_of_pixels(value, side):
    images = np.full((3, side, side, 3), value, "uint8")
    windows = np.random.default_rng(0).random((3, 4), "float32")
    for size in range(5, 130, 3):
        for found in (
            np.asarray(augment.resize(images, size)),
            np.asarray(augment.cut(images, windows, size)),
        ):
            assert found.shape == (3, size, size, 3)
            assert 0 <= found.min() and found.max() <= 255
            np.testing.assert_allclose(found, value, atol=1e-3)
