"""Data sets by name: arrays in memory, or streams of encoded photographs.

Small data sets are arrays and need no TensorFlow; large ones are streamed by it.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import numpy as np

from keras_roots.training import augment, embedded, records


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
        stream: Function of a shuffling seed, an integer or an int64 tensor, or `None`
            for a fixed order, to a
            `tf.data.Dataset` of (encoded image, label).
    """

    count: int
    stream: Callable

    def tensors(self, batch_size: int, image_size: int):
        """Returns a `tf.data.Dataset` of batches `(images, labels)` in order."""
        cropped = self.stream(None).map(
            lambda encoded, label: (crop(encoded, image_size, "centre"), label),
            num_parallel_calls=os.cpu_count(),
        )
        return cropped.batch(batch_size).prefetch(2)

    def batches(self, batch_size: int, image_size: int) -> Iterator[tuple]:
        """Yields `(images, labels)` in order, as NumPy, images float32."""
        yield from self.tensors(batch_size, image_size).as_numpy_iterator()

    def sample(self, count: int, image_size: int | None, seed: int) -> np.ndarray:
        """Returns images from a random part of the stream, float32."""
        cropped = self.stream(seed).map(
            lambda encoded, _: crop(encoded, image_size or 224, "centre")
        )
        return next(cropped.batch(count).as_numpy_iterator())


@dataclasses.dataclass(frozen=True)
class Dataset:
    """An image classification data set.

    Attributes:
        name: Name it was opened by.
        class_names: Names of the classes, in the order of the labels.
        train: Training split.
        evaluation: The split watched during training: held out of the training images,
            or the test split.
        test: The data set's own test (or validation) split.
        image_size: Height and width of the images where all have one, else `None`.
    """

    name: str
    class_names: tuple[str, ...]
    train: Arrays | Photographs
    evaluation: Arrays | Photographs
    test: Arrays | Photographs
    image_size: int | None = None


def open_dataset(name: str, data_dir: str | None = None, holdout: int = 0) -> Dataset:
    """Opens a data set.

    Args:
        name: `"digits"` or `"cifar10-sample"`, which are embedded; the name of a
            TensorFlow Datasets image classification data set, such as `"cifar10"` or
            `"imagenette/160px-v2"`, which is downloaded if it is not prepared; an
            `.npz` file with `x_train`, `y_train`, `x_test` and `y_test`; or a folder
            with a folder of images per class, optionally under `train` and
            `validation` (else every fifth image is for testing).
        data_dir: Where TensorFlow Datasets keeps its data sets; by default its own
            default.
        holdout: Number of training images to hold out and evaluate on instead of the
            test split, chosen at random once and for all.

    Raises:
        ValueError: There is no such data set, or its content is unusable.
    """
    if name in embedded.DATASETS:
        names, *splits = embedded.DATASETS[name]()
        return _in_memory(name, names, *(Arrays(*split) for split in splits), holdout)
    if name.endswith(".npz"):
        return _npz(name, holdout)
    if os.path.isdir(name):
        return _folder(name, holdout)
    if os.sep in name and name.split("/")[0] in ("", ".", "..", "~"):
        raise ValueError(f"`dataset` is a path that does not exist: {name!r}")
    if name == "cifar10":
        return _cifar10(data_dir, holdout)
    return _tfds(name, data_dir, holdout)


def model_arguments(dataset: Dataset, image_size: int | None = None) -> dict:
    """Returns the arguments of a model's constructor that a data set decides.

    Args:
        dataset: The data set.
        image_size: Height and width of the images, if not the data set's own.
    """
    arguments = {"classes": len(dataset.class_names)}
    size = image_size or dataset.image_size
    if size is not None:
        arguments["input_shape"] = (size, size, 3)
    return arguments


def sample_images(
    dataset: str,
    count: int,
    *,
    split: str = "train",
    data_dir: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Returns images of a data set, for instance to calibrate a quantisation.

    Args:
        dataset: As for `open_dataset`.
        count: Number of images.
        split: `"train"` or `"test"`.
        data_dir: As for `open_dataset`.
        image_size: Height and width in pixels; `None` for the data set's own, or 224.
        seed: Seed of the choice.

    Returns:
        float32 `(count, height, width, 3)`, pixels 0 to 255.
    """
    return getattr(open_dataset(dataset, data_dir), split).sample(
        count, image_size, seed
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
        area = sides[0] * sides[1] * (0.08 + 0.92 * draws[0])
        aspect = tf.exp((2 * draws[1] - 1) * np.log(4 / 3))
        window = tf.minimum(tf.sqrt(area * tf.stack([1 / aspect, aspect])), sides)
    else:
        window = tf.repeat(tf.reduce_min(sides), 2) * (224 / 256)
    window = tf.maximum(tf.round(window), 1.0)
    place = tf.constant([0.5, 0.5]) if how == "centre" else draws[2:4]
    start = tf.cast(place * (sides - window + 1.0), "int32")
    extent = tf.cast(window, "int32")
    image = image[start[0] : start[0] + extent[0], start[1] : start[1] + extent[1], :]
    image = tf.image.resize(tf.cast(image, "float32"), (size, size), antialias=True)
    return tf.clip_by_value(image, 0.0, 255.0)


def _in_memory(name, class_names, train, test, holdout) -> Dataset:
    evaluation = test
    if holdout:
        _check_holdout(holdout, train.count)
        order = np.random.default_rng(0).permutation(train.count)
        kept, held = np.sort(order[holdout:]), np.sort(order[:holdout])
        evaluation = Arrays(train.images[held], train.labels[held])
        train = Arrays(train.images[kept], train.labels[kept])
    return Dataset(
        name, class_names, train, evaluation, test, image_size=train.images.shape[1]
    )


def _check_holdout(holdout, count):
    if not 0 <= holdout < count:
        raise ValueError(
            f"`holdout` must leave some of the {count} training images. "
            f"Received: holdout={holdout}"
        )


def _npz(path, holdout) -> Dataset:
    if not os.path.exists(path):
        raise ValueError(f"`dataset` is a file that does not exist: {path!r}")
    try:
        with np.load(path) as arrays:
            splits = [
                Arrays(arrays[f"x_{split}"], arrays[f"y_{split}"].reshape(-1))
                for split in ("train", "test")
            ]
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"`dataset` file {path!r} must be a NumPy .npz file with x_train, y_train, "
            f"x_test and y_test. Reading it failed with: {error}"
        ) from error
    for split in splits:
        shape = split.images.shape
        if split.images.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2]:
            raise ValueError(
                f"`dataset` file {path!r} must hold images as uint8 of shape (count, "
                f"size, size, channels). Received: {split.images.dtype} {shape}"
            )
        if len(split.labels) != len(split.images) or not np.issubdtype(
            split.labels.dtype, np.integer
        ):
            raise ValueError(
                f"`dataset` file {path!r} must hold one integer label per image. "
                f"Received: {split.labels.dtype} {split.labels.shape} labels for "
                f"{len(split.images)} images"
            )
    classes = 1 + max(int(split.labels.max()) for split in splits)
    _check_classes(path, classes)
    return _in_memory(path, tuple(map(str, range(classes))), *splits, holdout)


def _check_classes(name, classes):
    if classes < 2:
        raise ValueError(
            f"`dataset` {name!r} must have at least two classes. Received: {classes}"
        )


def _cifar10(data_dir, holdout) -> Dataset:
    data_dir = os.path.expanduser(data_dir or "~/tensorflow_datasets")
    folder = records.prepared_version(data_dir, "cifar10")
    if folder is None:
        _builder("cifar10", data_dir)
        folder = records.prepared_version(data_dir, "cifar10")
    names = tuple((folder / "label.labels.txt").read_text().split())
    splits = (
        Arrays(*records.read_images(folder, split)) for split in ("train", "test")
    )
    return _in_memory("cifar10", names, *splits, holdout)


def _builder(name, data_dir):
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f"The data set {name!r} is not prepared under {data_dir!r}, and TensorFlow "
            "Datasets, which would prepare it, is not installed: "
            "pip install 'keras_roots[data,tensorflow]'"
        ) from error
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        builder.download_and_prepare()
    except Exception as error:
        raise ValueError(
            "`dataset` must be 'digits', 'cifar10-sample', the name of a data set of "
            "TensorFlow Datasets that is prepared or can be downloaded, an .npz file, "
            "or a folder. "
            f"Received: dataset={name!r}, data_dir={data_dir!r}. "
            f"Opening it failed with {type(error).__name__}: "
            + str(error).strip().partition("\n")[0]
        ) from error
    return builder


def _tfds(name, data_dir, holdout) -> Dataset:
    builder = _builder(name, data_dir)
    if not {"image", "label"} <= set(builder.info.features):
        raise ValueError(
            "`dataset` must be an image classification data set, with features 'image' "
            f"and 'label'. Received: dataset={name!r} with features "
            f"{sorted(builder.info.features)}"
        )
    test = next((s for s in ("test", "validation") if s in builder.info.splits), None)
    if test is None or (name == "imagenet2012"):
        test = "validation"
    if test not in builder.info.splits:
        raise ValueError(
            f"`dataset` {name!r} has no test or validation split, only "
            f"{sorted(builder.info.splits)}"
        )
    train = "train"
    evaluation = test
    if holdout:
        _check_holdout(holdout, builder.info.splits["train"].num_examples)
        train, evaluation = f"train[{holdout}:]", f"train[:{holdout}]"

    def split(instruction):
        count = builder.info.splits[instruction].num_examples
        stream = functools.partial(_tfds_stream, builder, instruction)
        return Photographs(count, stream)

    return Dataset(
        name,
        tuple(builder.info.features["label"].names),
        split(train),
        split(evaluation),
        split(test),
    )


def _tfds_stream(builder, split, seed):
    """Reads the shards in an order of the seed, through a shuffling buffer."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    parts = builder.info.splits[split].file_instructions
    columns = [
        tf.constant([str(part.filename) for part in parts]),
        tf.constant([part.skip for part in parts], "int64"),
        tf.constant([part.take for part in parts], "int64"),
    ]
    features = builder.info.features
    decoders = {"image": tfds.decode.SkipDecoding()}

    def parse(record):
        example = features.deserialize_example(record, decoders=decoders)
        return example["image"], example["label"]

    def read(name, skip, count):
        return tf.data.TFRecordDataset(name).skip(skip).take(count)

    shards = tf.data.Dataset.from_tensor_slices(_shuffled(columns, seed))
    stream = shards.interleave(read, cycle_length=16, num_parallel_calls=os.cpu_count())
    if seed is not None:
        stream = stream.shuffle(16_384, seed=seed, reshuffle_each_iteration=False)
    return stream.map(parse, num_parallel_calls=os.cpu_count())


def _shuffled(columns, seed):
    """Shuffles the rows of a table of tensors; the seed may be a tensor."""
    import tensorflow as tf

    if seed is None:
        return tuple(columns)
    rows = tf.range(len(columns[0]))
    order = tf.random.experimental.stateless_shuffle(rows, seed=tf.stack([seed, 0]))
    return tuple(tf.gather(column, order) for column in columns)


IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


def _folder(folder, holdout) -> Dataset:
    root = Path(folder)
    train_root = root / "train" if (root / "train").is_dir() else root
    test_root = next(
        (root / s for s in ("validation", "val", "test") if (root / s).is_dir()), None
    )
    names = sorted(path.name for path in train_root.iterdir() if path.is_dir())
    if train_root is root and test_root is not None:
        raise ValueError(
            f"`dataset` folder {folder!r} has {test_root.name!r} but no 'train'"
        )
    train = _files(train_root, names)
    if not train:
        raise ValueError(
            f"`dataset` folder {folder!r} must hold a folder of images per class, "
            "optionally under 'train' and 'validation'; images end in "
            f"{', '.join(IMAGE_SUFFIXES)}. Found none"
        )
    _check_classes(folder, len({label for _, label in train}))
    if test_root is None:
        order = np.random.default_rng(0).permutation(len(train))
        test = [train[i] for i in order[: len(train) // 5]]
        train = [train[i] for i in order[len(train) // 5 :]]
    else:
        test = _files(test_root, names)
    if not test:
        raise ValueError(f"`dataset` folder {folder!r} has no images to test on")
    _check_readable(folder, [path for path, _ in train + test])
    evaluation = test
    if holdout:
        _check_holdout(holdout, len(train))
        order = np.random.default_rng(0).permutation(len(train))
        evaluation = [train[i] for i in order[:holdout]]
        train = [train[i] for i in order[holdout:]]
    splits = (
        Photographs(len(files), functools.partial(_file_stream, files))
        for files in (train, evaluation, test)
    )
    return Dataset(folder, tuple(names), *splits)


def _files(root, names) -> list[tuple[str, int]]:
    return [
        (str(path), label)
        for label, name in enumerate(names)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]


def _check_readable(folder, paths):
    from PIL import Image

    def unreadable(path):
        try:
            with Image.open(path) as image:
                image.draft("RGB", (8, 8))  # JPEGs decode at an eighth of their size
                image.load()
        except Exception:
            return path
        return None

    with futures.ThreadPoolExecutor() as executor:
        bad = [path for path in executor.map(unreadable, paths) if path]
    if bad:
        raise ValueError(
            f"`dataset` folder {folder!r} has {len(bad)} unreadable images: "
            f"{', '.join(bad[:5])}{', ...' if len(bad) > 5 else ''}"
        )


def _file_stream(files, seed):
    import tensorflow as tf

    paths, labels = zip(*files, strict=True)
    columns = [tf.constant(paths), tf.constant(labels, "int64")]
    return tf.data.Dataset.from_tensor_slices(_shuffled(columns, seed)).map(
        lambda path, label: (tf.io.read_file(path), label),
        num_parallel_calls=os.cpu_count(),
    )
