r"""Releases a trained network: its weights, their entry in the index, its model card.

Examples, of a run of keras-roots-train and of a stage of keras-roots-compress:

  keras-roots-release --run=runs/cifar10-root8 --zoo=zoo
  keras-roots-release --run=runs/resnet20-l2/force --as=cifar10-force-l2 --zoo=zoo

The zoo is a folder with index.json, weights/ and cards/. The network's accuracy is
measured on the whole test split, as Keras model and as LiteRT files in float32 and
int8. Networks that no constructor builds, decomposed ones, are released as whole .keras
files. What was released by the same name is replaced. --cards writes the model cards
of a zoo anew, from its index, and does nothing else.
"""

import dataclasses
import json
import os
import re
import tempfile
from pathlib import Path

import keras
from absl import flags

import keras_roots
from keras_roots import models, utils
from keras_roots.training import data, evaluation, reports, trainer
from keras_roots.training.commands import flags as shared
from keras_roots.utils import load_model

INDEX = "index.json"
WEIGHTS = "weights"
_KERAS_NAME = re.compile(
    r"(?P<model>\w+?)_(?:(?P<topology>column|tree)_)?(?P<root>\d[\dx]*)"
)
_SHARED_FLAGS = ("data_dir", "threads")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that is done.

    Attributes:
        network: What it trained.
        name: Name of the model that the network is, or was made from, as for
            `create_model`: `"root_nin:8:root"`.
        dataset: Data set that it was trained on.
        result: What its `result.json` holds.
    """

    network: keras.Model
    name: str
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
        config = json.loads((folder / "config.json").read_text())
        result = json.loads((folder / trainer.RESULT).read_text())
        network = load_model(folder / trainer.MODEL)
    except (OSError, ValueError) as error:
        raise ValueError(
            "`run` must be the output directory of a keras-roots-train that is done, "
            "or of a stage of keras-roots-compress. "
            f"Received: run={os.fspath(folder)!r}. Reading it failed with: {error}"
        ) from error
    if result.get("command") is None:
        raise ValueError(
            f"`run` {os.fspath(folder)!r} does not say which command made it: only "
            "runs of keras-roots-train and keras-roots-compress can be released"
        )
    dataset = config.get("baseline", config)["dataset"]
    return Run(network, _zoo_name(network.name), dataset, result)


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
        ValueError: The run or the name is unusable, or a LiteRT file does not agree
            with the network; nothing is written then.
        OSError: The zoo cannot be written.
        ImportError: TensorFlow, LiteRT or the data set's package is not installed.
    """
    found = read_run(run)
    name = name or _weights_name(found.dataset)
    _check_name(name, found)
    read_index(zoo)  # complains, if it does, before the work
    dataset = data.open_dataset(found.dataset, data_dir)
    entry = _measure(found, name, dataset, threads)
    folder = Path(zoo, WEIGHTS)
    folder.mkdir(exist_ok=True)
    path = folder / entry["file"]
    with utils.replacing(path) as temporary:
        _save(found.network, temporary)
        entry |= {
            "bytes": utils.file_size(temporary),
            "sha256": models.sha256(temporary),
        }
    others = [other for other in read_index(zoo) if _key(other) != _key(entry)]
    write_index(zoo, [*others, entry])
    reports.write_card(zoo, read_index(zoo))
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
        return json.loads(path.read_text())["released"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"The index {os.fspath(path)!r} is damaged: {error}"
        ) from error


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


def main(argv) -> None:
    """Releases what the flags name and prints its entry."""
    del argv
    values = shared.FLAGS
    if values.cards:
        if values.run:
            raise ValueError("Give --run or --cards, not both")
        reports.write_card(values.zoo, read_index(values.zoo))
        return
    if not values.run:
        raise ValueError("--run is required: the output directory of a training")
    entry = release(
        values.run,
        values.zoo,
        values["as"].value,
        data_dir=values.data_dir,
        threads=values.threads,
    )
    print(json.dumps(entry, indent=2))


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    flags.DEFINE_string(
        "run", None, "Output directory of a training, or of a compression's stage."
    )
    flags.DEFINE_string(
        "as", None, "Name to release the weights as; by default the data set's."
    )
    flags.DEFINE_string("zoo", "zoo", "Folder of the zoo.")
    flags.DEFINE_bool("cards", False, "Only write the model cards anew.")
    return (*_SHARED_FLAGS, "run", "as", "zoo", "cards")


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())


def _zoo_name(name) -> str:
    """The name for `create_model` by the one that constructors give models."""
    match = _KERAS_NAME.fullmatch(name)
    if match is None or match["model"] not in models.list_models():
        raise ValueError(
            "The network must be a model of the zoo, or made from one, with its name, "
            f"such as root_nin_8. Received: a network named {name!r}"
        )
    return f"{match['model']}:{match['root']}:{match['topology'] or 'root'}"


def _weights_name(dataset) -> str:
    """What weights are released as: those of `imagenette/160px-v2` as `imagenette`."""
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


def _measure(run, name, dataset, threads) -> dict:
    """The entry of a network, but for its file's size and hash."""
    with tempfile.TemporaryDirectory() as folder:
        paths = evaluation.export_formats(run.network, dataset, folder)
        ranks = evaluation.rank_labels(run.network, paths, dataset, threads=threads)
        sizes = {kind: utils.file_size(path) for kind, path in paths.items() if path}
    profile = keras_roots.profile(run.network)
    model, arguments = models.parse_name(run.name)
    suffix = ".weights.h5" if _is_built(run) else ".keras"
    return {
        "model": model,
        **arguments,
        "groups": list(models.groups_in_name(run.name)),
        "weights": name,
        "dataset": run.dataset,
        "file": f"{run.network.name}-{name}{suffix}",
        "bytes": None,
        "sha256": None,
        "top1": {kind: evaluation.score(each).top1 for kind, each in ranks.items()},
        "images": dataset.test.count,
        "validation_top1": run.result.get("validation_top1"),
        "litert_bytes": sizes,
        "macs": profile.macs,
        "params": profile.params,
        "training_seconds": run.result.get("seconds"),
        **{fact: run.result[fact] for fact in reports.PROVENANCE},
    }


def _is_built(run) -> bool:
    """Tells whether the model's constructor builds the network."""
    shape = run.network.input_shape[1:]
    classes = run.network.output_shape[-1]
    built = models.create_model(run.name, input_shape=shape, classes=classes)
    return [(w.path, w.shape) for w in built.weights] == [
        (w.path, w.shape) for w in run.network.weights
    ]


def _save(network, path):
    network.save(path) if path.endswith(".keras") else network.save_weights(path)


def _key(entry) -> tuple:
    """What tells an entry from others, and sorts it."""
    return entry["model"], entry["weights"], entry["topology"], entry["groups"]


def _one_line(numbers) -> str:
    return ", ".join(number.strip() for number in numbers.split(","))
