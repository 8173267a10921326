"""Weights of models: the released ones by data set name, or a file by its path."""

import functools
import hashlib
import json
import os
from importlib import resources

import keras

_CLASSES = {"cifar10": 10, "imagenette": 10}


@functools.cache
def index() -> list[dict]:
    """Returns the released weights: the entries of the zoo's index."""
    path = resources.files("keras_roots.zoo") / "index.json"
    return json.loads(path.read_text())["weights"]


def classes(weights) -> int | None:
    """Returns the classes of released weights; `None` if the name is not known.

    Args:
        weights: Name of a data set, perhaps with how it was trained after a hyphen,
            `"cifar10-force-l2"`; anything else is not known.
    """
    if not isinstance(weights, str):
        return None
    return _CLASSES.get(weights.partition("-")[0])


def find(model: str, groups: tuple[int, ...], weights) -> str | None:
    """Returns the path of a weights file.

    Args:
        model: Registry name of the model.
        groups: Filter groups of each of its stages.
        weights: `None`, the name of a data set with released weights, or a path.

    Raises:
        ValueError: There are no such weights, or a released file is damaged.
    """
    if weights is None:
        return None
    if isinstance(weights, str | os.PathLike) and os.path.isfile(weights):
        return os.fspath(weights)
    choices = [entry for entry in index() if entry["model"] == model]
    for entry in choices:
        if entry["dataset"] == weights and tuple(entry["groups"]) == groups:
            return _verified(entry)
    available = [f"{entry['dataset']!r} with root={entry['root']}" for entry in choices]
    raise ValueError(
        "`weights` should be None (random initialisation), the name of released "
        "weights, or the path of an existing weights file. "
        f"Received: weights={weights!r} for {model} with groups {groups}. "
        f"Released for {model}: {', '.join(available) or 'none'}"
    )


def load(model: keras.Model, path: str) -> None:
    """Loads a weights file into a model.

    Args:
        model: A built model of the architecture that the file was saved from, with
            or without its classifier.
        path: A `.weights.h5` or `.keras` file.

    Raises:
        ValueError: The file is no weights file, is damaged, or is of another model.
    """
    try:
        model.load_weights(path)
    except Exception as error:
        raise ValueError(
            f"`weights` file {path!r} does not fit the model {model.name!r}. It must "
            "be a whole .weights.h5 or .keras file, saved from the same model with the "
            "same root and classes. Reading it failed with: "
            + str(error).partition("\n")[0][:300]
        ) from error


def _verified(entry) -> str:
    path = str(resources.files("keras_roots.zoo") / "weights" / entry["file"])
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        digest = "no such file"
    if digest != entry["sha256"]:
        raise ValueError(
            f"The released weights file {path!r} is damaged: expected SHA-256 "
            f"{entry['sha256']}, found {digest}. Install keras_roots again."
        )
    return path
