"""Releases of trained networks: weights, entries of the zoo's index, model cards."""

import dataclasses
import json
import os
import re
from pathlib import Path

import keras

import keras_roots
from keras_roots import models, utils
from keras_roots.training import data, evaluation, runs
from keras_roots.training.reports import cards
from keras_roots.utils import load_model

INDEX = "index.json"
WEIGHTS = "weights"


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that is done.

    Attributes:
        network: What it trained.
        name: Name of the network of the zoo that it is, or was made from.
        dataset: Data set that it was trained on.
        result: What its `result.json` holds.
    """

    network: keras.Model
    name: models.NetworkName
    dataset: str
    result: dict


def read_run(folder: str | os.PathLike) -> Run:
    """Reads the output directory of a training, or of a stage of a compression.

    Args:
        folder: The directory.

    Raises:
        ValueError: It is none, the run is not done, or the network is none of the zoo.
    """
    folder = Path(folder)
    try:
        dataset = utils.read_json(folder / runs.CONFIG)["dataset"]
        result = utils.read_json(folder / runs.RESULT)
        network = load_model(folder / runs.MODEL)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            "`run` must be the output directory of a keras-roots-train that is done, "
            "or of a stage of keras-roots-compress. "
            f"Received: run={os.fspath(folder)!r}. Reading it failed with: {error!r}"
        ) from error
    if result.get("command") is None:
        raise ValueError(
            f"`run` {os.fspath(folder)!r} does not say which command made it: only "
            "runs of keras-roots-train and keras-roots-compress can be released"
        )
    name = models.NetworkName.of_model(network.name)
    return Run(network, name, dataset, result)


def release(
    run: str | os.PathLike,
    zoo: str | os.PathLike,
    name: str | None = None,
    *,
    data_dir: str | None = None,
    threads: int = 1,
) -> dict:
    """Releases the network of a run: weights, index entry, model card.

    Args:
        run: As for `read_run`.
        zoo: Folder of the zoo.
        name: What to release it as, the `weights` of constructors: the data set's
            name, by default, or that with how it was trained after a hyphen.
        data_dir: Where TensorFlow Datasets keeps its data sets.
        threads: Threads for LiteRT files.

    Returns:
        The entry in the index.

    Raises:
        ValueError: The run or the name is unusable, another process releases into the
            zoo, or a LiteRT file does not agree with the network; nothing is written
            then.
        OSError: The zoo cannot be written.
        ImportError: TensorFlow, LiteRT or the data set's package is not installed.
    """
    found = read_run(run)
    name = name or _weights_name(found.dataset)
    _check_name(name, found)
    read_index(zoo)  # a damaged index is refused before the work
    with runs.hold_directory(zoo, "`zoo`"):
        dataset = data.open_dataset(found.dataset, data_dir)
        entry = _entry(found, name, dataset, threads)
        return _write(found.network, entry, zoo)


def _write(network, entry, zoo) -> dict:
    """Writes weights, index and cards; returns the entry, with size and digest."""
    folder = Path(zoo, WEIGHTS)
    folder.mkdir(exist_ok=True)
    path = folder / entry["file"]
    with utils.replacing(path) as temporary:
        _save(network, temporary)
        entry |= {
            "bytes": utils.file_size(temporary),
            "sha256": models.sha256(temporary),
        }
    others = [other for other in read_index(zoo) if _key(other) != _key(entry)]
    write_index(zoo, [*others, entry])
    write_cards(zoo)
    return entry


def read_index(zoo: str | os.PathLike) -> list[dict]:
    """Returns the entries of a zoo's index; none if the folder has no index yet.

    Raises:
        ValueError: There is no such folder, or its index is damaged.
    """
    path = Path(zoo, INDEX)
    if not path.parent.is_dir():
        raise ValueError(f"`zoo` must be a folder. Received: zoo={os.fspath(zoo)!r}")
    if not path.exists():
        return []
    try:
        entries = utils.read_json(path)["released"]
        if not isinstance(entries, list) or not all(map(_is_entry, entries)):
            raise TypeError("'released' is no list of dictionaries")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"The index {os.fspath(path)!r} is damaged: {error}"
        ) from error
    return entries


def _is_entry(entry) -> bool:
    return isinstance(entry, dict)


def write_index(zoo: str | os.PathLike, entries: list[dict]) -> None:
    """Writes a zoo's index, sorted.

    Args:
        zoo: Folder of the zoo.
        entries: Its entries.
    """
    text = json.dumps({"released": sorted(entries, key=_key)}, indent=2)
    # Lists of numbers, such as groups, on one line.
    text = re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda m: f"[{_one_line(m[1])}]", text)
    utils.write_text(Path(zoo, INDEX), text + "\n")


def write_cards(zoo: str | os.PathLike) -> list[Path]:
    """Writes the model cards of a zoo from its index.

    Args:
        zoo: Folder of the zoo.

    Returns:
        The files, `cards/FAMILY.md`.

    Raises:
        ValueError: There is no such folder, or its index is damaged.
        OSError: They cannot be written.
    """
    return cards.write(zoo, read_index(zoo))


def _weights_name(dataset) -> str:
    """Name of the weights: `imagenette` of `imagenette/160px-v2`."""
    return dataset.partition("/")[0]


def _check_name(name, run):
    own = _weights_name(run.dataset)
    if name != own and not name.startswith(f"{own}-"):
        raise ValueError(
            "`name` must be the data set's, or begin with it and a hyphen. "
            f"Received: name={name!r} for a network trained on {run.dataset!r}"
        )
    if models.released_classes(name) != run.network.output_shape[-1]:
        raise ValueError(
            f"Networks trained on {run.dataset!r} cannot be released: the zoo knows "
            f"{', '.join(models.RELEASED_DATASETS)}"
        )


def _entry(run, name, dataset, threads) -> dict:
    """The entry of a network, but for its file's size and hash."""
    (formats,) = evaluation.measure(
        {str(run.name): run.network}, dataset, threads=threads, runs=0
    ).values()
    profile = keras_roots.profile(run.network)
    suffix = ".weights.h5" if _is_built(run) else ".keras"
    return {
        "model": run.name.model,
        **run.name.arguments,
        "groups": list(run.name.groups),
        "weights": name,
        "dataset": run.dataset,
        "file": f"{run.network.name}-{name}{suffix}",
        "bytes": None,
        "sha256": None,
        "top1": {form: each.score.top1 for form, each in formats.items()},
        "images": dataset.test.count,
        "validation_top1": run.result.get("validation_top1"),
        "litert_bytes": {
            form: formats[form].bytes for form in evaluation.LITERT_FORMATS
        },
        "macs": profile.macs,
        "params": profile.params,
        "training_seconds": run.result.get("seconds"),
        **{fact: run.result[fact] for fact in cards.PROVENANCE},
    }


def _is_built(run) -> bool:
    """Returns whether the model's constructor builds the network."""
    shape = run.network.input_shape[1:]
    classes = run.network.output_shape[-1]
    built = models.create_model(str(run.name), input_shape=shape, classes=classes)
    return [(w.path, w.shape) for w in built.weights] == [
        (w.path, w.shape) for w in run.network.weights
    ]


def _save(network, path):
    if path.endswith(".keras"):
        utils.save_model(network, path)
    else:
        with utils.buffered(path) as file:
            network.save_weights(file)


def _key(entry) -> tuple:
    """What identifies an entry, and sorts it."""
    return entry["model"], entry["weights"], entry["topology"], entry["groups"]


def _one_line(numbers) -> str:
    return ", ".join(number.strip() for number in numbers.split(","))
