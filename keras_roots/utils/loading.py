"""Keras files, which other versions of Keras can read."""

import contextlib
import functools
import json
import math
import os
import threading
import zipfile
from collections.abc import Iterator

import h5py
import keras

from keras_roots.utils import checks
from keras_roots.utils.configuration import without_defaults
from keras_roots.utils.json_files import LARGEST as LARGEST_JSON
from keras_roots.utils.json_files import parse_json

_SUFFIX = ".keras"
_CONFIGURATION = "config.json"
_METADATA = "metadata.json"
_WEIGHTS = "model.weights.h5"
# Layers that load what is no configuration, also in versions of Keras that let them.
_FOREIGN = {
    "TFSMLayer": "loads a SavedModel, which is a program",
    "TorchModuleWrapper": "unpickles a module of PyTorch",
}
_ONE_AT_A_TIME = threading.RLock()


def load_model(path: str | os.PathLike, argument: str = "`path`") -> keras.Model:
    """Loads a Keras file, without what it was compiled with.

    What it would take in memory is compared with the size of the file before anything
    is built.

    Args:
        path: The `.keras` file.
        argument: What the path was given as, for the message.

    Raises:
        ValueError: There is no such file, or it is damaged, no Keras file, of a newer
            version of Keras, would be far larger in memory, or loads other code; or
            its images are of another `keras.config.image_data_format()`.
    """
    path = os.fspath(path)
    if not os.path.isfile(path) or not path.endswith(_SUFFIX):
        raise ValueError(
            f"{argument} must be an existing .keras file. Received: {path!r}"
        )
    try:
        stored, layouts = _check_members(path)
        if not layouts or keras.config.image_data_format() in layouts:
            with _layers_up_to(stored):
                return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            f"{argument} must be a whole .keras file. Received: {path!r}"
            f"{_newer(path)}; reading it failed with: {error}"
        ) from error
    # Rescaling, for one, goes by the setting when it is called.
    raise ValueError(
        f"{argument} must be of the image_data_format that Keras is set to, "
        f"{keras.config.image_data_format()!r}. Received: {path!r}, whose is "
        f"{min(layouts)!r}: set that in keras.json or by "
        "keras.config.set_image_data_format"
    )


def check_weights_file(path: str | os.PathLike) -> None:
    """Checks what a file of weights would take in memory, before it is read.

    Args:
        path: A `.weights.h5` or `.keras` file.

    Raises:
        ValueError: It would take far more than the file has, or it is no such file.
        OSError: It is none.
    """
    path = os.fspath(path)
    if path.endswith(_SUFFIX):
        _check_members(path)
    else:
        _check_arrays(path, os.path.getsize(path))


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
    configuration = without_defaults(parse_json(members[_CONFIGURATION]))
    members[_CONFIGURATION] = json.dumps(configuration).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def _newer(path) -> str:
    """Returns what a message adds where another version of Keras wrote a file."""
    try:
        with zipfile.ZipFile(path) as file:
            written = parse_json(_start(file, _METADATA))["keras_version"]
    except Exception:  # what is wrong with the file is reported already
        return ""
    if written == keras.version():
        return ""
    return (
        f", written by Keras {written} (this is {keras.version()}): where that is "
        "newer, save it there again with keras_roots.utils.save_model"
    )


def _check_members(path) -> tuple[int, set[str]]:
    """Checks the members of a Keras file.

    Returns:
        The bytes of its arrays, and the data formats of its layers.

    Raises:
        ValueError: They would be far larger than the file, or load other code.
    """
    with zipfile.ZipFile(path) as file:
        declared = sum(member.file_size for member in file.infolist())
        checks.unpacked("its members", declared, os.path.getsize(path))
        missing = {_CONFIGURATION, _WEIGHTS} - {*file.namelist()}
        if missing:
            raise ValueError(f"it has no {' and no '.join(sorted(missing))}")
        layouts = _check_layers(parse_json(_start(file, _CONFIGURATION)))
        with file.open(_WEIGHTS) as member:
            stored = _check_arrays(member, file.getinfo(_WEIGHTS).file_size)
    return stored, layouts


def _start(file, name) -> bytes:
    """Returns a member's content, no more of it than JSON may have."""
    with file.open(name) as member:
        return member.read(LARGEST_JSON + 1)


def _check_layers(configuration) -> set[str]:
    """Checks that no layer loads other code; returns the layers' data formats."""
    pending, layouts = [configuration], set()
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            kind, layout = part.get("class_name"), part.get("data_format")
            if isinstance(kind, str) and kind in _FOREIGN:
                raise ValueError(f"its layer {kind} {_FOREIGN[kind]}")
            layouts |= {layout} if isinstance(layout, str) else set()
            pending += part.values()
        elif isinstance(part, list):
            pending += part
    return layouts & {"channels_first", "channels_last"}


def _check_arrays(file, size) -> int:
    """Checks the arrays of an HDF5 file of so many bytes; returns the arrays' bytes."""
    declared = 0

    def count(_, item):
        nonlocal declared
        if isinstance(item, h5py.Dataset):
            declared += item.size * item.dtype.itemsize

    with h5py.File(file, "r") as content:
        content.visititems(count)
    checks.unpacked("its arrays", declared, size)
    return declared


@contextlib.contextmanager
def _layers_up_to(stored) -> Iterator[None]:
    """Within the block, layers may have weights of as many bytes as a file stores.

    Keras fills the weights of a layer with random numbers before it reads them.

    Args:
        stored: The bytes; of a layer that is quantised they may be eight times fewer.
    """
    with _ONE_AT_A_TIME:
        add, thread, declared = keras.layers.Layer.add_weight, threading.get_ident(), 0

        @functools.wraps(add)
        def counted(layer, shape=None, *args, **kwargs):
            nonlocal declared
            if threading.get_ident() == thread:
                sides = shape if isinstance(shape, list | tuple) else ()
                declared += 4 * math.prod(sides)
                checks.unpacked("the weights of its layers", declared, stored, most=8)
            return add(layer, shape, *args, **kwargs)

        keras.layers.Layer.add_weight = counted
        try:
            yield
        finally:
            keras.layers.Layer.add_weight = add
