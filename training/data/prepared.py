"""Data sets that TensorFlow Datasets prepared: their files, as their metadata say."""

import dataclasses
import re
from pathlib import Path

from keras_roots.training.data.splits import check_classes
from keras_roots.utils import read_json

_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_FORMAT = "tfrecord"
_INFO = "dataset_info.json"
_LEAST_BYTES = 16  # of a record: two checksums and its length


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of records.

    Attributes:
        path: The file.
        count: Number of its records.
    """

    path: Path
    count: int


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What the metadata of a data set of labelled images say.

    Attributes:
        name: Name it was asked for by.
        folder: Folder of its files.
        class_names: Names of the classes, numbers where they have none.
        shards: Files of each split, by its name.
        sides: Height and width of the images, `None` where they differ.
    """

    name: str
    folder: Path
    class_names: tuple[str, ...]
    shards: dict[str, tuple[Shard, ...]]
    sides: tuple[int | None, int | None] = (None, None)

    def count(self, split: str) -> int:
        """Returns the number of images of a split."""
        return sum(shard.count for shard in self.shards[split])

    def check(self, split: str) -> None:
        """Checks that a split has images, and that its files are there.

        Raises:
            ValueError: They are not, or a file is too small for its records.
        """
        if not self.count(split):
            raise damaged(self.folder / _INFO, f"lists no images of {split!r}")
        for shard in self.shards[split]:
            if not shard.path.is_file():
                raise damaged(shard.path, "is missing")
            size = shard.path.stat().st_size
            if size < _LEAST_BYTES * shard.count:
                raise damaged(
                    shard.path,
                    f"is damaged: it has {size:,} bytes for {shard.count:,} records",
                )


def damaged(path: Path, fault: str) -> ValueError:
    """Returns the error of a file of a prepared data set, with the remedy.

    Args:
        path: The file.
        fault: What is wrong with it, a verb and what follows.
    """
    return ValueError(
        f"`dataset` file {str(path)!r} {fault}. Delete the folder "
        f"{str(path.parent)!r} and let TensorFlow Datasets prepare it again"
    )


def prepared_version(data_dir: str | Path, name: str) -> Path | None:
    """Returns the folder of the newest prepared version of a data set, if there is one.

    Args:
        data_dir: Folder that holds prepared data sets.
        name: Name of a data set, such as `"cifar10"`.
    """
    versions = [
        path
        for path in Path(data_dir, name).glob("*")
        # A preparation that was stopped leaves a folder "incomplete.X_1.0.0".
        if re.fullmatch(r"\d+(\.\d+)*", path.name)
        and any(any(path.glob(kind)) for kind in (_INFO, f"*.{_FORMAT}*"))
    ]
    return max(versions, key=_version, default=None)


def read_prepared(folder: Path, name: str) -> Prepared:
    """Reads the metadata of a prepared data set.

    Args:
        folder: Folder of a prepared version.
        name: Name it was asked for by.

    Raises:
        ValueError: They are damaged, of no labelled images, or of another format than
            TFRecord.
    """
    shards = _of_file(folder / _INFO, _shards)
    features, names = folder / "features.json", folder / "label.labels.txt"
    # Versions before 4 wrote no features.json.
    sides, classes = (None, None), None
    found = None
    if features.exists() or not names.exists():
        found = _of_file(features, _features)
    if found is not None:
        if not {"image", "label"} <= found.keys():
            raise ValueError(
                "`dataset` must be an image classification data set, with features "
                f"'image' and 'label'. Received: dataset={name!r} with features "
                f"{sorted(found)}"
            )
        classes = _of_file(features, lambda _: _classes(found))
        sides = _of_file(features, lambda _: _sides(found))
    images = sum(shard.count for files in shards.values() for shard in files)
    if names.exists() or classes is None:
        listed = _of_file(names, _lines)
        if classes not in (None, len(listed)):
            raise damaged(
                names, f"is damaged: it names {len(listed)} classes of {classes}"
            )
        check_classes(name, len(listed), images)
    else:
        check_classes(name, classes, images)
        listed = tuple(map(str, range(classes)))
    return Prepared(name, folder, listed, shards, sides)


def _of_file(path, read):
    """Returns what a function reads of a file, whose form may be any."""
    try:
        return read(path)
    except FileNotFoundError as error:
        raise damaged(path, "is missing") from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise damaged(
            path, f"is damaged ({type(error).__name__}: {str(error)[:100]})"
        ) from error


def _json(path):
    return read_json(path)


def _shards(path) -> dict[str, tuple[Shard, ...]]:
    """Returns the files of every split, by `dataset_info.json`."""
    info = _json(path)
    kind = info.get("fileFormat", _FORMAT)
    if kind != _FORMAT:
        raise ValueError(f"its format is {kind!r}, not {_FORMAT!r}")
    found = {}
    for split in info["splits"]:
        lengths = [int(length) for length in split["shardLengths"]]
        if min(lengths, default=0) < 0:
            raise ValueError("a shard of a negative length")
        found[split["name"]] = tuple(
            Shard(path.parent / _file_name(info, split, index, len(lengths)), length)
            for index, length in enumerate(lengths)
        )
    return found


def _file_name(info, split, index, count) -> str:
    name = split.get("filepathTemplate") or _TEMPLATE
    for key, value in (
        ("DATASET", info["name"]),
        ("SPLIT", split["name"]),
        ("FILEFORMAT", _FORMAT),
        ("SHARD_X_OF_Y", f"{index:05d}-of-{count:05d}"),
        ("SHARD_INDEX", f"{index:05d}"),
        ("NUM_SHARDS", f"{count:05d}"),
    ):
        name = name.replace(f"{{{key}}}", value)
    if Path(name).name != name or "\0" in name:
        raise ValueError(f"{name!r} is no name of a file in the folder")
    return name


def _features(path) -> dict | None:
    """Returns the features, `None` where a version before 4.5 wrote them."""
    found = _json(path)
    return None if "content" in found else {**found["featuresDict"]["features"]}


def _lines(path) -> tuple[str, ...]:
    lines = path.read_text("utf-8").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    if len(set(lines)) < len(lines):
        raise ValueError("a name twice")
    if not all(line.strip() and line.isprintable() for line in lines):
        raise ValueError("a name that is empty or cannot be printed")
    return tuple(lines)


def _classes(features) -> int:
    return int(features["label"]["classLabel"]["numClasses"])


def _sides(features) -> tuple[int | None, int | None]:
    shape = features["image"]["image"]["shape"]["dimensions"]
    height, width = (int(side) for side in shape[:2])
    return (height if height > 0 else None, width if width > 0 else None)


def _version(folder) -> tuple[int, ...]:
    return tuple(map(int, folder.name.split(".")))
