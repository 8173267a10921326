"""What a data set is: arrays in memory, or streams of encoded photographs."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator

import keras
import numpy as np

from keras_roots.training.data import augment
from keras_roots.utils import checks

_MOST_CLASSES = 10_000  # where there are fewer images


@dataclasses.dataclass(frozen=True)
class Arrays:
    """A split held in memory.

    Attributes:
        images: uint8, `(count, height, width, 3)`.
        labels: int64, `(count,)`.
    """

    images: np.ndarray
    labels: np.ndarray

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.labels)

    def class_counts(self, classes: int) -> np.ndarray:
        """Returns the number of images of each class, integers `(classes,)`."""
        return np.bincount(self.labels, minlength=classes)

    def reading(self) -> contextlib.AbstractContextManager:
        """Does nothing: nothing is read any more. As `Photographs.reading`."""
        return contextlib.nullcontext()

    def batches(self, batch_size: int, image_size: int) -> Iterator[tuple]:
        """Yields `(images, labels)` in order, as NumPy, images float32."""
        for start in range(0, self.count, batch_size):
            images = self.images[start : start + batch_size]
            images = np.asarray(augment.resize(images, image_size), "float32")
            yield images, self.labels[start : start + batch_size]

    def sample(self, count: int, image_size: int | None, seed: int) -> np.ndarray:
        """Returns images chosen at random, float32."""
        order = np.random.default_rng(seed).permutation(self.count)[:count]
        images = self.images[np.sort(order)]
        return np.asarray(augment.resize(images, image_size or images.shape[1]))


@dataclasses.dataclass(frozen=True)
class Photographs:
    """A split that TensorFlow streams from files.

    Attributes:
        count: Number of images.
        stream: Function of a seed, an integer or an int64 tensor that decides the
            order, or `None` for a fixed order, to a `tf.data.Dataset` of (encoded
            image, label).
        check: Function that reads all files, and raises a ValueError that names the
            first that is missing or damaged.
        labels: int64, `(count,)`, where they are known without reading the files.
    """

    count: int
    stream: Callable
    check: Callable
    labels: np.ndarray | None = None

    def class_counts(self, classes: int) -> np.ndarray:
        """Returns the number of images of each class, integers `(classes,)`."""
        labels = self.labels
        if labels is None:
            stream = self.stream(None).map(lambda _, label: label)
            with self.reading():
                labels = np.fromiter(stream.as_numpy_iterator(), "int64")
        return np.bincount(labels, minlength=classes)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Names the damaged file where a batch of the stream fails within the block.

        TensorFlow says of a record neither the file nor the place.

        Raises:
            ValueError: A file is missing or damaged.
        """
        try:
            yield
        except Exception as error:
            if "IteratorGetNext" in str(error):  # whatever runs the stream
                self.check()
            raise

    def tensors(self, batch_size: int, image_size: int):
        """Returns a `tf.data.Dataset` of batches `(images, labels)` in order."""
        cropped = self.stream(None).map(
            lambda encoded, label: (crop(encoded, image_size, "centre"), label),
            num_parallel_calls=os.cpu_count(),
        )
        return cropped.batch(batch_size).prefetch(2)

    def batches(self, batch_size: int, image_size: int) -> Iterator[tuple]:
        """Yields `(images, labels)` in order, as NumPy, images float32."""
        with self.reading():
            yield from self.tensors(batch_size, image_size).as_numpy_iterator()

    def sample(self, count: int, image_size: int | None, seed: int) -> np.ndarray:
        """Returns images from a random part of the stream, float32."""
        cropped = self.stream(seed).map(
            lambda encoded, _: crop(encoded, image_size or 224, "centre")
        )
        with self.reading():
            return next(cropped.batch(count).as_numpy_iterator())


@dataclasses.dataclass(frozen=True)
class Dataset:
    """An image classification data set.

    Attributes:
        name: Name it was opened by.
        class_names: Names of the classes, in the order of the labels.
        train: Training split.
        evaluation: The split that training is monitored on: images held out of the
            training images, or the test split.
        test: The data set's own test (or validation) split.
        image_size: Height and width of the images where all have one, else `None`.
    """

    name: str
    class_names: tuple[str, ...]
    train: Arrays | Photographs
    evaluation: Arrays | Photographs
    test: Arrays | Photographs
    image_size: int | None = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Names the damaged file where a batch fails, as `Photographs.reading`.

        Raises:
            ValueError: A file is missing or damaged.
        """
        with self.test.reading(), self.evaluation.reading(), self.train.reading():
            yield

    def sample(self, model: keras.Model, count: int, seed: int) -> np.ndarray:
        """Returns training images of a model's size, chosen at random, float32.

        Args:
            model: The model.
            count: How many; fewer where there are fewer.
            seed: Seed of the choice.
        """
        return self.train.sample(count, model.input_shape[1], seed)


def in_memory(
    name: str, class_names: tuple[str, ...], train: Arrays, test: Arrays, holdout: int
) -> Dataset:
    """Makes a data set of arrays.

    Args:
        name: As in `Dataset`.
        class_names: As in `Dataset`.
        train: All training images.
        test: The test split.
        holdout: As for `open_dataset`.

    Raises:
        ValueError: As many images cannot be held out.
    """
    evaluation = test
    if holdout:
        check_holdout(holdout, train.count)
        order = np.random.default_rng(0).permutation(train.count)
        kept, held = np.sort(order[holdout:]), np.sort(order[:holdout])
        evaluation = Arrays(train.images[held], train.labels[held])
        train = Arrays(train.images[kept], train.labels[kept])
    return Dataset(
        name, class_names, train, evaluation, test, image_size=train.images.shape[1]
    )


def check_holdout(holdout: int, count: int) -> None:
    """Raises a ValueError unless `holdout` leaves some of `count` training images."""
    checks.integer("holdout", holdout, least=0)
    if holdout >= count:
        raise ValueError(
            f"`holdout` must leave some of the {count} training images. "
            f"Received: holdout={holdout}"
        )


def check_classes(name: str, classes: int, images: int) -> None:
    """Checks the number of classes of a data set.

    Args:
        name: Name of the data set.
        classes: Number of its classes.
        images: Number of its images. There may be 10,000 classes or as many as images.

    Raises:
        ValueError: There are less than two, or more.
    """
    if classes < 2:
        raise ValueError(
            f"`dataset` {name!r} must have at least two classes. Received: {classes}"
        )
    most = max(_MOST_CLASSES, images)
    if classes > most:
        raise ValueError(
            f"`dataset` {name!r} must have at most {most:,} classes, labels from 0 to "
            f"{most - 1:,}: number them from 0 on. Received: {classes:,} classes of "
            f"{images:,} images"
        )


def crop(encoded, size: int, how: str, draws=None):
    """Decodes a photograph and cuts a square out of it, with TensorFlow.

    Args:
        encoded: Encoded JPEG, PNG, GIF or BMP image: scalar string tensor.
        size: Height and width of the result, in pixels.
        how: `Augmentation.crop`: `"centre"`, `"random"` or `"scale_aspect"`.
        draws: Uniform random numbers in [0, 1), `(4,)`, unless `how` is `"centre"`.

    Returns:
        float32 `(size, size, 3)`, pixels 0 to 255.
    """
    import tensorflow as tf

    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    sides = tf.cast(tf.shape(image)[:2], "float32")
    if how == "scale_aspect":
        start, window = augment.scale_aspect(sides, draws, tf)
    else:
        window = tf.repeat(tf.reduce_min(sides), 2) * (224 / 256)
        window = tf.maximum(tf.round(window), 1.0)
        place = tf.constant([0.5, 0.5]) if how == "centre" else draws[2:4]
        start = place * (sides - window + 1.0)
    start, extent = tf.cast(start, "int32"), tf.cast(window, "int32")
    image = image[start[0] : start[0] + extent[0], start[1] : start[1] + extent[1], :]
    image = tf.image.resize(tf.cast(image, "float32"), (size, size), antialias=True)
    return tf.clip_by_value(image, *augment.PIXELS)


def shuffled(columns, seed) -> tuple:
    """Shuffles the rows of a table of tensors; the seed may be a tensor."""
    import tensorflow as tf

    if seed is None:
        return tuple(columns)
    rows = tf.range(len(columns[0]))
    order = tf.random.experimental.stateless_shuffle(rows, seed=tf.stack([seed, 0]))
    return tuple(tf.gather(column, order) for column in columns)
