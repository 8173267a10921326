"""Weights of models: the released ones by data set name, or a file by its path."""

import os
import warnings

import keras

from keras_roots import graph, utils
from keras_roots.models import released
from keras_roots.models.name import NetworkName


def find(name: NetworkName, weights) -> str | None:
    """Returns the path of a weights file.

    Args:
        name: Name of the network.
        weights: `None`, the name of a data set with released weights, or a path, which
            has a separator or a suffix.

    Raises:
        ValueError: There are no such weights, or a released file is damaged.
    """
    if weights is None:
        return None
    if _exists(weights) and not utils.checks.is_bare(weights):
        return os.fspath(weights)
    if released.is_network(weights):
        raise ValueError(
            f"`weights={weights!r}` are whole networks, not weights of {name.model}: "
            f"build one with `keras_roots.create_model(name, weights={weights!r})`, "
            f"where `name` is one of {released.names(weights)}"
        )
    entry = released.entry(name, weights)
    if entry is not None:
        return released.verified(entry)
    available = [
        f"{entry['weights']!r} as {NetworkName.of_entry(entry)}"
        for entry in released.index()
        if entry["model"] == name.model and not released.is_whole(entry)
    ]
    raise ValueError(
        "`weights` should be None (random initialisation), the name of released "
        "weights, or the path of an existing weights file. "
        f"Received: weights={weights!r} for {name.model} with groups "
        f"{name.groups}. Released for {name.model}: {', '.join(available) or 'none'}"
        + (f"; write './{weights}' for the file" if _exists(weights) else "")
    )


def _exists(weights) -> bool:
    return isinstance(weights, str | os.PathLike) and os.path.isfile(weights)


def load(model: keras.Model, path: str, include_top: bool = True) -> None:
    """Loads a weights file into a model.

    Args:
        model: A built model of the architecture that the file was saved from, with
            or without its classifier.
        path: A `.weights.h5` or `.keras` file.
        include_top: Whether the model ends in the classifier. If the file is of other
            classes, its classifier stays new, and a warning says so.

    Raises:
        ValueError: The file is no weights file, is damaged, or is of another model.
    """
    try:
        utils.verify_checksum(path)
    except ValueError as error:
        raise ValueError(f"`weights` file {path!r} is damaged: {error}") from error
    try:
        _read(model, path)
    except Exception as error:
        if include_top and _fits(_without_classifier(model), path):
            warnings.warn(
                f"`weights` file {path!r} is of a network of other classes than "
                f"{model.name!r}, or of other heads: its classifier is new and random.",
                stacklevel=4,
            )
            return
        raise ValueError(
            f"`weights` file {path!r} does not fit the model {model.name!r}. It must "
            "be a whole .weights.h5 or .keras file, saved from the same model with the "
            "same root and classes. Reading it failed with: "
            + str(error).partition("\n")[0][:300]
        ) from error


def _without_classifier(model) -> keras.Model:
    return keras.Model(model.inputs, [layer.input for layer in graph.heads(model)])


def _fits(model, path) -> bool:
    """Loads the weights, if they are a model's."""
    try:
        _read(model, path)
    except Exception:
        return False
    return True


def _read(model, path):
    utils.check_weights_file(path)
    with warnings.catch_warnings():
        # Of containers by depth, whose layers Keras reads by other names as well.
        warnings.filterwarnings("ignore", "Skipping nested container")
        model.load_weights(path)
