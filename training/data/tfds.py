"""Data sets of TensorFlow Datasets."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

from keras_roots.training.data import tfrecords
from keras_roots.training.data.prepared import (
    Prepared,
    Shard,
    prepared_version,
    read_prepared,
)
from keras_roots.training.data.splits import (
    Arrays,
    Dataset,
    Photographs,
    check_holdout,
    in_memory,
    shuffled,
)
from keras_roots.utils import is_installed

# Names of the split to test on, the first that there is: ImageNet's "test" has no
# labels.
_TESTS = {"imagenet2012": ("validation",)}
_OTHER_TESTS = ("test", "validation")


def open_cifar10(data_dir: str | None = None, holdout: int = 0) -> Dataset:
    """Opens CIFAR-10 in memory; needs no TensorFlow once it is prepared.

    Args:
        data_dir: As for `open_dataset`.
        holdout: As for `open_dataset`.

    Raises:
        ValueError: It cannot be prepared, is damaged, or so many images cannot be held
            out.
        ImportError: It is not prepared, and TensorFlow Datasets is not installed.
    """
    return _in_memory(_prepare("cifar10", data_dir), holdout)


def open_photographs(
    name: str, data_dir: str | None = None, holdout: int = 0
) -> Dataset:
    """Opens a data set of TensorFlow Datasets as a stream of photographs.

    Without TensorFlow, one that is prepared is read into memory, as squares.

    Args:
        name: As for `open_dataset`.
        data_dir: As for `open_dataset`.
        holdout: As for `open_dataset`.

    Raises:
        ValueError: There is no such data set, it holds no labelled images, or a file is
            missing.
        ImportError: It is not prepared, and TensorFlow Datasets is not installed.
    """
    prepared = _prepare(name, data_dir)
    if not is_installed("tensorflow"):
        return _in_memory(prepared, holdout)
    train, test = _splits(prepared)
    count, tested = prepared.count(train), prepared.count(test)
    evaluation = (test, 0, tested)
    if holdout:
        check_holdout(holdout, count)
        evaluation = (train, 0, holdout)

    def split(name, start, stop):
        stream = functools.partial(_stream, prepared, name, start, stop)
        check = functools.partial(_check, prepared, name)
        return Photographs(stop - start, stream, check)

    return Dataset(
        name,
        prepared.class_names,
        split(train, holdout, count),
        split(*evaluation),
        split(test, 0, tested),
    )


def is_prepared(name: str, data_dir: str | None = None) -> bool:
    """Tells whether a data set is prepared.

    Args:
        name: As for `open_dataset`.
        data_dir: As for `open_dataset`.
    """
    return prepared_version(_where(data_dir), name) is not None


def _where(data_dir) -> str:
    return os.path.expanduser(data_dir or "~/tensorflow_datasets")


def _prepare(name, data_dir) -> Prepared:
    """Returns what is prepared, after TensorFlow Datasets prepared it if need be."""
    where = _where(data_dir)
    folder = prepared_version(where, name)
    if folder is None:
        folder = Path(_builder(name, where).data_dir)
    return read_prepared(folder, name)


def _splits(prepared) -> tuple[str, str]:
    """Returns the names of the splits to train and to test on, which are there."""
    tests = _TESTS.get(prepared.name.split("/")[0], _OTHER_TESTS)
    found = [
        next((split for split in splits if split in prepared.shards), None)
        for splits in (("train",), tests)
    ]
    if None in found:
        raise ValueError(
            f"`dataset` {prepared.name!r} must have a split 'train', and one of "
            f"{tests} to test on. Received: {sorted(prepared.shards)}"
        )
    for split in found:
        prepared.check(split)
    return tuple(found)


def _in_memory(prepared, holdout) -> Dataset:
    """Reads a data set that is prepared, without TensorFlow."""
    splits = (
        Arrays(*tfrecords.read_images(prepared, split)) for split in _splits(prepared)
    )
    return in_memory(prepared.name, prepared.class_names, *splits, holdout)


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


def _stream(prepared, split, start, stop, seed):
    """Reads the shards in the order of a seed, through a shuffling buffer."""
    import tensorflow as tf

    rows = list(_parts(prepared.shards[split], start, stop))
    names, skips, counts, takes = zip(*rows, strict=True)
    columns = [
        tf.constant([os.fsencode(name) for name in names]),
        *(tf.constant(column, "int64") for column in (skips, counts, takes)),
    ]
    classes = len(prepared.class_names)

    def read(name, skip, count, take):
        records = tf.data.TFRecordDataset(name).skip(skip).take(take)
        # A file that ends early would go unnoticed.
        return records.apply(tf.data.experimental.assert_cardinality(count))

    def parse(record):
        example = tf.io.parse_single_example(
            record,
            {
                "image": tf.io.FixedLenFeature((), tf.string),
                "label": tf.io.FixedLenFeature((), tf.int64),
            },
        )
        label = example["label"]
        tf.debugging.Assert((label >= 0) & (label < classes), [label])
        return example["image"], label

    shards = tf.data.Dataset.from_tensor_slices(shuffled(columns, seed))
    stream = shards.interleave(read, cycle_length=16, num_parallel_calls=os.cpu_count())
    if seed is not None:
        if not tf.executing_eagerly():
            # Beside a global seed of 0, TensorFlow asks whether a tensor is 0 too.
            tf.compat.v1.set_random_seed(1)
        stream = stream.shuffle(16_384, seed=seed, reshuffle_each_iteration=False)
    return stream.map(parse, num_parallel_calls=os.cpu_count())


def _parts(shards, start, stop) -> Iterator[tuple[str, int, int, int]]:
    """Yields where a range of examples lies: file, first, number, number to take.

    Of what ends with its file all is taken, so that more than there should be is seen.
    """
    first = 0
    for shard in shards:
        skip = max(start - first, 0)
        end = min(stop - first, shard.count)
        if skip < end:
            whole = end == shard.count
            yield str(shard.path), skip, end - skip, -1 if whole else end - skip
        first += shard.count


def _check(prepared, split) -> None:
    """Raises a ValueError that names the first file or record that is damaged."""
    import tensorflow as tf

    prepared.check(split)
    shards = prepared.shards[split]
    for decode in (False, True):  # what is fast first
        for shard in shards:
            for index, (image, _) in enumerate(tfrecords.examples(prepared, shard)):
                if decode:
                    _check_image(tf, shard, index, image)


def _check_image(tf, shard: Shard, index, image) -> None:
    try:
        tf.io.decode_image(image, channels=3, expand_animations=False)
    except tf.errors.OpError as error:
        raise tfrecords.bad_record(
            shard,
            index,
            f"has an image that TensorFlow does not decode ({error.message})",
        ) from error
