"""Keras files, which other versions of Keras can read."""

import json
import os
import zipfile

import keras

from keras_roots.utils.configuration import without_defaults

_CONFIGURATION = "config.json"
_METADATA = "metadata.json"


def load_model(path: str | os.PathLike, argument: str = "`path`") -> keras.Model:
    """Loads a Keras file, without what it was compiled with.

    Args:
        path: The `.keras` file.
        argument: What the path was given as, for the message.

    Raises:
        ValueError: There is no such file, or it is damaged, no Keras file, or of a
            newer version of Keras.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise ValueError(
            f"{argument} must be an existing .keras file. Received: {path!r}"
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            f"{argument} must be a whole .keras file. Received: {path!r}"
            f"{_newer(path)}; reading it failed with: {error}"
        ) from error


def save_model(model: keras.Model, path: str | os.PathLike) -> None:
    """Saves a model as a Keras file that older versions of Keras can read too.

    `model.save` writes all arguments of all layers; older versions refuse those that
    they do not know. Here arguments that have their defaults are left out, so that the
    file loads wherever Keras has what the network is made of.

    Args:
        model: The model.
        path: The `.keras` file; what is there is overwritten.

    Raises:
        ValueError: Keras cannot save the model, or the path does not end in `.keras`.
        OSError: The file cannot be written.
    """
    path = os.fspath(path)
    model.save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    configuration = without_defaults(json.loads(members[_CONFIGURATION]))
    members[_CONFIGURATION] = json.dumps(configuration).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def _newer(path) -> str:
    """Returns what a message adds where another version of Keras wrote a file."""
    try:
        with zipfile.ZipFile(path) as file:
            written = json.loads(file.read(_METADATA))["keras_version"]
    except Exception:  # what is wrong with the file is reported already
        return ""
    if written == keras.version():
        return ""
    return (
        f", written by Keras {written} (this is {keras.version()}): where that is "
        "newer, save it there again with keras_roots.utils.save_model"
    )
