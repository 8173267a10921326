"""Batches for `fit`: shuffled, augmented, and the same when a run is resumed.

Random numbers come from generators seeded by (seed, epoch), so that epoch 7 has the
same images whether or not the run was stopped before it, on every backend.
"""

import os
from collections.abc import Iterator

import keras
import numpy as np

from keras_roots.training.data import augment
from keras_roots.training.data.splits import Arrays, Photographs, crop


def steps_per_epoch(split: Arrays | Photographs, batch_size: int) -> int:
    """Returns the number of whole batches in a split.

    Raises:
        ValueError: The split has fewer images than a batch.
    """
    if split.count < batch_size:
        raise ValueError(
            f"`batch_size` must be at most the number of training images, "
            f"{split.count}. Received: batch_size={batch_size}"
        )
    return split.count // batch_size


def train_batches(
    split: Arrays | Photographs,
    *,
    augmentation: augment.Augmentation,
    batch_size: int,
    image_size: int,
    classes: int,
    fill,
    seed: int,
    epochs: range,
    outputs: int = 1,
    resized: int | None = None,
):
    """Returns augmented training batches over several epochs.

    Args:
        split: The images.
        augmentation: How they are varied.
        batch_size: Images per batch; an incomplete batch at an epoch's end is dropped.
        image_size: Height and width, in pixels.
        classes: Number of classes, for one-hot targets.
        fill: Colour of borders, one value per channel.
        seed: Seed of order and augmentation.
        epochs: Numbers of the epochs.
        outputs: Outputs of the model; each gets the same targets.
        resized: Height and width, in pixels, that augmented images are resized to;
            `None` to leave them. Photographs are cropped to it at once.

    Returns:
        On TensorFlow a `tf.data.Dataset`, elsewhere an iterator, of `(images,
        targets)`: float32 `(batch, side, side, 3)`, where `side` is `image_size` or
        `resized`, pixels 0 to 255, and one-hot `(batch, classes)`, or a tuple of
        `outputs` such.
    """
    steps = steps_per_epoch(split, batch_size)
    side = image_size if resized is None else resized
    if not isinstance(split, Arrays):
        image_size = side

    cuts = isinstance(split, Arrays) and augmentation.cuts_arrays
    draws = augmentation.draws + (augment.WINDOW_DRAWS if cuts else 0)

    def finish(images, labels, draws):
        if cuts:
            windows = draws[:, augmentation.draws :]
            images = augment.cut(images, windows, image_size)
            draws = draws[:, : augmentation.draws]
        else:
            images = augment.resize(images, image_size)
        images = augmentation.apply(images, draws, fill)
        return augment.resize(images, side), _targets(labels, classes, outputs)

    if isinstance(split, Arrays):

        def order():
            shape = (steps, batch_size, draws)
            return _order(split.count, shape, augmentation, seed, epochs)

        if keras.backend.backend() == "tensorflow":
            return _tensorflow_arrays(split, order, finish, draws)
        return _device_arrays(split, order(), finish)
    crops = _crops(split, augmentation, steps * batch_size, image_size, seed, epochs)
    return crops.batch(batch_size, drop_remainder=True).map(finish).prefetch(2)


def evaluation_batches(split, *, batch_size, image_size, classes, outputs=1):
    """Returns a whole split in order, for `fit(validation_data=...)`.

    Args:
        split: The images.
        batch_size: Images per batch.
        image_size: Height and width, in pixels.
        classes: Number of classes, for one-hot targets.
        outputs: Outputs of the model; each gets the same targets.

    Returns:
        Arrays `(images, targets)`, or batches of them in a `tf.data.Dataset` where
        TensorFlow streams the split.
    """
    if isinstance(split, Arrays):
        images = [images for images, _ in split.batches(batch_size, image_size)]
        return np.concatenate(images), _targets(split.labels, classes, outputs)
    return split.tensors(batch_size, image_size).map(
        lambda images, labels: (images, _targets(labels, classes, outputs))
    )


def _targets(labels, classes, outputs):
    one_hot = keras.ops.one_hot(labels, classes)
    return (one_hot,) * outputs if outputs > 1 else one_hot


def _order(count, shape, augmentation, seed, epochs) -> Iterator[tuple]:
    """Yields the indices and the random numbers of every batch.

    `shape` is steps per epoch, images per batch and random numbers per image.
    """
    steps, batch_size, draws_per_image = shape
    # Epochs have seeds of two numbers: this one is none of theirs.
    first = np.random.default_rng((seed, 0, 1)).random(count, "float32")
    for epoch in epochs:
        random = np.random.default_rng((seed, epoch))
        order = random.permutation(count).astype("int32")
        for step in range(steps):
            indices = order[step * batch_size : (step + 1) * batch_size]
            draws = random.random((batch_size, draws_per_image), "float32")
            if augmentation.alternates:
                flips = augment.alternate(first[indices], epoch)
                draws[:, augmentation.flip_draw] = flips
            yield indices, draws


def _tensorflow_arrays(split, order, finish, draws):
    import tensorflow as tf

    images, labels = tf.constant(split.images), tf.constant(split.labels)
    batches = tf.data.Dataset.from_generator(
        order,
        output_signature=(
            tf.TensorSpec((None,), "int32"),
            tf.TensorSpec((None, draws), "float32"),
        ),
    )
    return batches.map(
        lambda indices, draws: finish(
            tf.gather(images, indices), tf.gather(labels, indices), draws
        ),
        num_parallel_calls=os.cpu_count(),
    ).prefetch(2)


def _device_arrays(split, order, finish):
    """Keeps the images on the device and augments them there."""
    images = keras.ops.convert_to_tensor(split.images)
    labels = keras.ops.convert_to_tensor(split.labels)

    def batch(images, labels, indices, draws):
        return finish(
            keras.ops.take(images, indices, axis=0),
            keras.ops.take(labels, indices, axis=0),
            draws,
        )

    if keras.backend.backend() == "jax":
        import jax

        batch = jax.jit(batch)
    return (batch(images, labels, indices, draws) for indices, draws in order)


def _crops(split, augmentation, count, image_size, seed, epochs):
    """Returns (cropped photograph, label, random numbers) of every image in turn."""
    import tensorflow as tf

    def crops(epoch):
        epoch_seed = seed * 100_003 + epoch

        def one(index, photograph):
            draws = tf.random.stateless_uniform(
                (augmentation.draws + augment.WINDOW_DRAWS,),
                seed=tf.stack([epoch_seed, index]),
            )
            draws, window = draws[: augmentation.draws], draws[augmentation.draws :]
            image = crop(photograph[0], image_size, augmentation.crop, window)
            if augmentation.alternates:
                flips = augment.alternate(
                    _identity(photograph[0], seed), tf.cast(epoch, "float32")
                )
                draws = tf.tensor_scatter_nd_update(
                    draws, [[augmentation.flip_draw]], [flips]
                )
            return image, photograph[1], draws

        stream = split.stream(epoch_seed).take(count).enumerate()
        return stream.map(one, num_parallel_calls=os.cpu_count())

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(crops)


def _identity(encoded, seed):
    """Returns a number in [0, 1) that an image has in whatever order it comes."""
    import tensorflow as tf

    name = tf.strings.to_hash_bucket_fast(encoded, 2**31 - 1)
    return tf.random.stateless_uniform((), seed=tf.stack([name, seed]))
