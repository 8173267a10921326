"""Batches of training images, and whole splits for evaluation."""

import numpy as np
import pytest
from PIL import Image

from keras_roots.training.data import augment, batches, datasets


def _epochs(split, epochs, augmentation="pad_crop_mirror", batch_size=6, **kwargs):
    found = batches.train_batches(
        split,
        augmentation=augment.get_augmentation(augmentation),
        batch_size=batch_size,
        image_size=8,
        classes=3,
        fill=(0.0, 0.0, 0.0),
        seed=7,
        epochs=epochs,
        **kwargs,
    )
    return [(np.asarray(images), np.asarray(y)) for images, y in found]


@pytest.fixture
def splits(folder, npz):
    return {
        "arrays": datasets.open_dataset(npz[0]).train,
        "photographs": datasets.open_dataset(str(folder)).train,
    }


@pytest.mark.parametrize("kind", ["arrays", "photographs"])
@pytest.mark.parametrize("augmentation", ["pad_crop_mirror", "scale_aspect_colour"])
def test_an_epoch_is_the_same_whether_or_not_others_come_before(
    splits, kind, augmentation
):
    split = splits[kind]
    steps = batches.steps_per_epoch(split, 6)
    whole = _epochs(split, range(0, 3), augmentation)
    assert len(whole) == 3 * steps
    for batch, again in zip(
        whole[steps:], _epochs(split, range(1, 3), augmentation), strict=True
    ):
        np.testing.assert_array_equal(batch[0], again[0])
        np.testing.assert_array_equal(batch[1], again[1])
    assert not np.array_equal(whole[0][0], whole[steps][0])


@pytest.mark.parametrize("kind", ["arrays", "photographs"])
def test_an_epoch_takes_every_image_once_with_its_label(splits, kind, read_all):
    split = splits[kind]
    (images, targets), *rest = _epochs(
        split, range(5, 6), "none", batch_size=split.count
    )
    assert not rest
    plain, labels = read_all(split)
    pairs = [
        {(image.tobytes(), int(label)) for image, label in zip(x, y, strict=True)}
        for x, y in ((images, targets.argmax(-1)), (plain, labels))
    ]
    assert pairs[0] == pairs[1]


def test_arrays_are_cut_by_scale_and_aspect(splits):
    """The random numbers behind an augmentation's own say where."""
    split = splits["arrays"]
    (images, _), *_ = _epochs(split, range(1), "scale_aspect_mirror")
    random = np.random.default_rng((7, 0))
    order = random.permutation(split.count)[:6]
    draws = random.random((6, 1 + 4), "float32")
    cut = np.asarray(augment.cut(split.images[order], draws[:, 1:], 8))
    for image, whole, flip in zip(images, cut, draws[:, 0], strict=True):
        expected = whole[:, ::-1] if flip < 0.5 else whole
        np.testing.assert_allclose(image, expected, atol=1e-3)


def test_outputs_share_their_targets(splits):
    found = batches.train_batches(
        splits["arrays"],
        augmentation=augment.get_augmentation("none"),
        batch_size=5,
        image_size=8,
        classes=3,
        fill=None,
        seed=0,
        epochs=range(1),
        outputs=3,
    )
    _, targets = next(iter(found))
    assert len(targets) == 3
    np.testing.assert_array_equal(targets[0], targets[2])


def test_batches_larger_than_the_split_are_refused(splits):
    with pytest.raises(ValueError, match="at most.* 20. Received: batch_size=21"):
        batches.steps_per_epoch(splits["arrays"], 21)


@pytest.mark.parametrize("kind", ["arrays", "photographs"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_whole_split_in_order(splits, kind, outputs, read_all):
    split = splits[kind]
    arguments = {"batch_size": 4, "image_size": 8, "classes": 3, "outputs": outputs}
    found = batches.evaluation_batches(split, **arguments)
    if kind == "photographs":
        images, targets = zip(*found.as_numpy_iterator(), strict=True)
        targets = list(zip(*targets, strict=True)) if outputs > 1 else [targets]
        images = np.concatenate(images)
        targets = [np.concatenate(each) for each in targets]
    else:
        images, targets = found
        targets = targets if outputs > 1 else [targets]
    plain, labels = read_all(split)
    np.testing.assert_array_equal(images, plain)
    assert len(targets) == outputs
    for each in targets:
        np.testing.assert_array_equal(np.asarray(each).argmax(-1), labels)


def _halves(kind, folder, count=16):
    """A split of images whose left half is white, and the images' own lower rows."""
    images = np.zeros((count, 8, 8, 3), "uint8")
    images[:, :4, :4] = 255
    images[:, 4:] = 10 * np.arange(count)[:, None, None, None]
    if kind == "arrays":
        np.savez(
            folder / "halves.npz",
            x_train=images,
            y_train=np.arange(count),
            x_test=images,
            y_test=np.arange(count),
        )
        return datasets.open_dataset(str(folder / "halves.npz")).train
    for split in ("train", "test"):
        for i, image in enumerate(images):
            path = folder / split / f"{i:02}" / "image.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(image).save(path)
    return datasets.open_dataset(str(folder)).train


def _flipped(split, epochs, seed=7, flip="alternating"):
    """Which images are flipped in each epoch, by their labels."""
    found = batches.train_batches(
        split,
        augmentation=augment.get_augmentation("crop_mirror", flip),
        batch_size=split.count // 2,
        image_size=8,
        classes=split.count,
        fill=None,
        seed=seed,
        epochs=epochs,
    )
    rows = []
    for images, targets in found:
        images, labels = np.asarray(images), np.asarray(targets).argmax(-1)
        right = images[:, :2, 6:].mean((1, 2, 3)) > images[:, :2, :2].mean((1, 2, 3))
        rows.append(dict(zip(labels.tolist(), right.tolist(), strict=True)))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    epochs = [first | second for first, second in pairs]
    return np.array([[epoch[i] for i in range(split.count)] for epoch in epochs])


@pytest.mark.parametrize("kind", ["arrays", "photographs"])
def test_alternating_flips_are_those_of_the_image_and_the_epoch(kind, tmp_path):
    split = _halves(kind, tmp_path)
    first, second, third = _flipped(split, range(3))
    assert 0.2 < first.mean() < 0.8
    np.testing.assert_array_equal(second, ~first)
    np.testing.assert_array_equal(third, first)
    np.testing.assert_array_equal(_flipped(split, range(1, 2))[0], second)
    assert (_flipped(split, range(1), seed=8)[0] != first).any()
    by_chance = _flipped(split, range(3), flip="random")
    assert (by_chance[1] != ~by_chance[0]).any()


def test_augmented_images_are_resized(tmp_path):
    """A line of brightness stays one, but at the edges."""
    ramp = np.broadcast_to(16 * np.arange(12)[None, :, None], (4, 12, 12, 3))
    split = batches.Arrays(ramp.astype("uint8"), np.arange(4))
    found = batches.train_batches(
        split,
        augmentation=augment.get_augmentation("none"),
        batch_size=4,
        image_size=12,
        classes=4,
        fill=None,
        seed=0,
        epochs=range(1),
        resized=6,
    )
    images = np.asarray(next(iter(found))[0])
    assert images.shape == (4, 6, 6, 3)
    want = 16 * (2 * np.arange(6) + 0.5)
    np.testing.assert_allclose(images[0, 2, 1:-1, 0], want[1:-1], atol=1e-3)


def test_photographs_are_cropped_to_their_size_at_once(splits):
    ((images, _), *_) = _epochs(splits["photographs"], range(1), resized=6)
    assert images.shape == (6, 6, 6, 3)
