"""Released networks: the zoo's index, and files checked against it."""

import functools
import hashlib
import json
import os
from importlib import resources

import keras

from keras_roots.models.name import NetworkName
from keras_roots.utils import load_model

DATASETS = {"cifar10": 10, "imagenette": 10}  # that weights are released for: classes
_NETWORK = ".keras"  # Files of networks that no constructor builds.


@functools.cache
def index() -> list[dict]:
    """Returns the entries of the zoo's index, one for each released network.

    Each has the `model` (registry name), `root`, `topology` and `groups` of a network,
    the `weights` it is released as, its `file` with `bytes` and `sha256`, and how it
    was trained and how accurate it is.
    """
    path = resources.files("keras_roots.zoo") / "index.json"
    return json.loads(path.read_text("utf-8"))["released"]


def names(weights: str) -> list[str]:
    """Returns the names of the networks that are released as `weights`.

    Raises:
        ValueError: There are none.
    """
    found = [
        str(NetworkName.of_entry(entry))
        for entry in index()
        if entry["weights"] == weights
    ]
    if not found:
        known = ", ".join(dict.fromkeys(entry["weights"] for entry in index()))
        raise ValueError(
            f"`weights` must be one of the released: {known}. "
            f"Received: weights={weights!r}"
        )
    return found


def classes(weights) -> int | None:
    """Returns the classes of released weights; `None` if the name is not known.

    Args:
        weights: Name of a data set, perhaps with how it was trained after a hyphen,
            `"cifar10-force-l2"`; anything else is not known.
    """
    if not isinstance(weights, str):
        return None
    return DATASETS.get(weights.partition("-")[0])


def entry(name: NetworkName, weights) -> dict | None:
    """Returns the entry of a network, `None` if it is not released.

    Args:
        name: Name of the network.
        weights: Name that it is released as.

    Raises:
        ValueError: No model has this name, or its layers cannot have these groups.
    """
    wanted = name.model, list(name.groups), weights
    for found in index():
        if (found["model"], found["groups"], found["weights"]) == wanted:
            return found
    return None


def is_whole(entry: dict) -> bool:
    """Tells whether an entry's file is a whole network, not weights of a constructor's.

    Args:
        entry: An entry of `index()`.
    """
    return entry["file"].endswith(_NETWORK)


def is_network(weights) -> bool:
    """Tells whether `weights` is the name of released networks that load whole."""
    return any(is_whole(entry) and entry["weights"] == weights for entry in index())


def load_network(
    name: NetworkName, *, weights: str, classes: int | None = None, **others
) -> keras.Model:
    """Loads a released network that no constructor builds, a decomposed one.

    Args:
        name: Name of the network that it was made from.
        weights: Name that it is released as.
        classes: Its classes, if given.
        **others: Nothing else can be chosen.

    Raises:
        ValueError: There is no such network, its file is damaged, or an argument does
            not fit it.
    """
    if others:
        raise ValueError(
            f"`weights={weights!r}` is a whole network, which takes `root`, `topology` "
            f"and `classes` only. Received: {', '.join(others)}"
        )
    found = entry(name, weights)
    if found is None:
        raise ValueError(
            f"`weights={weights!r}` is released as {', '.join(names(weights))}. "
            f"Received: {name.model} with groups {name.groups}"
        )
    network = load_model(verified(found))
    if classes not in (None, network.output_shape[-1]):
        raise ValueError(
            f"`classes` should be {network.output_shape[-1]} with "
            f"`weights={weights!r}`. Received: classes={classes}"
        )
    return network


def verified(entry: dict) -> str:
    """Returns the path of a released file after comparing its hash with the index's.

    Args:
        entry: An entry of `index()`.

    Raises:
        ValueError: The file is missing, truncated or another one.
    """
    path = str(resources.files("keras_roots.zoo") / "weights" / entry["file"])
    try:
        digest = sha256(path)
    except FileNotFoundError:
        digest = "no such file"
    if digest != entry["sha256"]:
        raise ValueError(
            f"The released weights file {path!r} is damaged: expected SHA-256 "
            f"{entry['sha256']}, found {digest}. Install keras_roots again."
        )
    return path


def sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
