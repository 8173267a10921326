"""Data sets of TensorFlow Datasets."""

import functools
import os

from keras_roots.training.data import tfrecords
from keras_roots.training.data.splits import (
    Arrays,
    Dataset,
    Photographs,
    check_holdout,
    in_memory,
    shuffled,
)
from keras_roots.utils import is_installed

_TESTS = ("test", "validation")  # names of the split to test on, the first there is


def open_cifar10(data_dir: str | None = None, holdout: int = 0) -> Dataset:
    """Opens CIFAR-10 in memory; needs no TensorFlow once it is prepared.

    Args:
        data_dir: As for `open_dataset`.
        holdout: As for `open_dataset`.

    Raises:
        ValueError: It cannot be prepared, or so many images cannot be held out.
        ImportError: It is not prepared, and TensorFlow Datasets is not installed.
    """
    data_dir = _prepared(data_dir)
    folder = tfrecords.prepared_version(data_dir, "cifar10")
    if folder is None:
        _builder("cifar10", data_dir)
        folder = tfrecords.prepared_version(data_dir, "cifar10")
    return _in_memory("cifar10", folder, holdout)


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
        ValueError: There is no such data set, or it holds no labelled images.
        ImportError: TensorFlow Datasets is not installed.
    """
    if not is_installed("tensorflow"):
        folder = tfrecords.prepared_version(_prepared(data_dir), name)
        if folder is not None:
            return _in_memory(name, folder, holdout)
    builder = _builder(name, data_dir)
    if not {"image", "label"} <= set(builder.info.features):
        raise ValueError(
            "`dataset` must be an image classification data set, with features 'image' "
            f"and 'label'. Received: dataset={name!r} with features "
            f"{sorted(builder.info.features)}"
        )
    test = next((s for s in _TESTS if s in builder.info.splits), None)
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
        check_holdout(holdout, builder.info.splits["train"].num_examples)
        train, evaluation = f"train[{holdout}:]", f"train[:{holdout}]"

    def split(instruction):
        count = builder.info.splits[instruction].num_examples
        stream = functools.partial(_stream, builder, instruction)
        return Photographs(count, stream)

    return Dataset(
        name,
        tuple(builder.info.features["label"].names),
        split(train),
        split(evaluation),
        split(test),
    )


def _prepared(data_dir) -> str:
    return os.path.expanduser(data_dir or "~/tensorflow_datasets")


def _in_memory(name, folder, holdout) -> Dataset:
    """Reads a data set that is prepared, without TensorFlow."""
    names = tfrecords.class_names(folder)
    # Those of ImageNet and its like are evaluated on what they call validation.
    splits = ["train", next(s for s in _TESTS if [*folder.glob(f"*-{s}.tfrecord-*")])]
    splits = (Arrays(*tfrecords.read_images(folder, split)) for split in splits)
    return in_memory(name, names, *splits, holdout)


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


def _stream(builder, split, seed):
    """Reads the shards in the order of a seed, through a shuffling buffer."""
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

    shards = tf.data.Dataset.from_tensor_slices(shuffled(columns, seed))
    stream = shards.interleave(read, cycle_length=16, num_parallel_calls=os.cpu_count())
    if seed is not None:
        if not tf.executing_eagerly():
            # Beside a global seed of 0, TensorFlow asks whether a tensor is 0 too.
            tf.compat.v1.set_random_seed(1)
        stream = stream.shuffle(16_384, seed=seed, reshuffle_each_iteration=False)
    return stream.map(parse, num_parallel_calls=os.cpu_count())
