"""A run's output directory, which is never mixed, and where its result comes from."""

import collections
import contextlib
import datetime
import json
import logging
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import keras
from absl import logging as absl_logging

from keras_roots import benchmarking, utils

CONFIG = "config.json"
MODEL = "model.keras"
RESULT = "result.json"
LOCK = "run.lock"
_COMMAND: list[str | None] = [None]  # of the binary that runs, if one does


@contextlib.contextmanager
def hold_directory(
    directory: str | os.PathLike, argument: str = "`output_dir`"
) -> Iterator[None]:
    """Keeps other processes from working in a run's folder while a block runs.

    Blocks within it, of the same process, share the folder; readers are not kept out.
    A folder that is missing is made, and removed again if nothing is left in it.

    Args:
        directory: The output directory.
        argument: What it was given as, for the message.

    Raises:
        ValueError: Another process works in it, or it is a file.
        OSError: It cannot be made.
    """
    directory = check_directory(directory, argument)
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_empty, made)
        try:
            stack.enter_context(utils.lock_file(directory / LOCK))
        except BlockingIOError as holder:
            raise ValueError(
                f"{argument} {str(directory)!r} is in use by {holder}: wait until "
                "that has ended, or choose another directory"
            ) from None
        yield


def contents(directory: str | os.PathLike) -> list[Path]:
    """Returns what a folder holds apart from the lock and what killed processes left.

    Args:
        directory: The folder; one that is missing holds nothing.
    """
    directory = Path(directory)
    return [
        path
        for path in (directory.iterdir() if directory.is_dir() else ())
        if path.name != LOCK and not utils.is_leftover(path.name)
    ]


def claim_directory(directory: str | os.PathLike, config: dict) -> bool:
    """Makes a run's output directory, or finds its own again.

    Args:
        directory: The output directory.
        config: The run's configuration, as JSON knows it; kept as `config.json`.

    Returns:
        Whether the directory held the same run already.

    Raises:
        ValueError: It holds something else.
        OSError: It cannot be made or written.
    """
    directory = check_directory(directory)
    utils.remove_leftovers(directory)
    file = directory / CONFIG
    if file.exists():
        found = read_config(directory)
        if found is None:
            raise ValueError(
                f"`output_dir` has a damaged {str(file)!r}: put a whole copy in its "
                "place, or choose another directory"
            )
        if different := differences(found, config):
            raise ValueError(
                f"`output_dir` {str(directory)!r} holds a run of another "
                "configuration; choose another directory or the same flags. Different: "
                + ", ".join(
                    f"{key} (there {there!r}, here {here!r})"
                    for key, (there, here) in different.items()
                )
            )
        return True
    if contents(directory):
        raise ValueError(
            f"`output_dir` {str(directory)!r} is not empty and holds no run; choose "
            "another directory"
        )
    directory.mkdir(parents=True, exist_ok=True)
    utils.write_text(file, json.dumps(config, indent=2) + "\n")
    return False


def differences(found: dict, config: dict) -> dict[str, tuple]:
    """Returns where two configurations differ: names of values, and both of them.

    A value that one of them lacks is `None`: older runs have fewer.

    Args:
        found: That of a run.
        config: That of another.
    """
    found, config = (_flat(json.loads(json.dumps(each))) for each in (found, config))
    return {
        key: (found.get(key), config.get(key))
        for key in sorted({*found, *config})
        if found.get(key) != config.get(key)
    }


def check_directory(
    directory: str | os.PathLike, argument: str = "`output_dir`"
) -> Path:
    """Checks that an output directory is one, or can be made.

    Args:
        directory: The output directory.
        argument: What it was given as, for the message.

    Raises:
        ValueError: It is a file, or would lie in one.
    """
    for path in (Path(directory), *Path(directory).parents):
        if path.is_file():
            raise ValueError(
                f"{argument} must be a folder, which need not exist. "
                f"Received: {str(directory)!r}, where {str(path)!r} is a file"
            )
    return Path(directory)


def read_config(directory: str | os.PathLike) -> dict | None:
    """Returns the configuration of the run that a directory holds.

    Args:
        directory: The directory.

    Returns:
        What `claim_directory` kept; `None` where it kept nothing, or it is damaged.

    Raises:
        OSError: It cannot be read.
    """
    file = Path(directory, CONFIG)
    try:
        found = utils.read_json(file) if file.exists() else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def data_set_of(path: str | os.PathLike) -> str | None:
    """Returns the data set of the run that a network's file comes from.

    Args:
        path: The file, in the folder of the run or of one of its stages.

    Returns:
        The name or path that the run's configuration has; `None` if it is no run's.

    Raises:
        OSError: The configuration cannot be read.
    """
    pending = [read_config(Path(path).parent) or {}]
    while pending:
        config = pending.pop(0)
        if isinstance(config.get("dataset"), str):
            return config["dataset"]
        pending += [value for value in config.values() if isinstance(value, dict)]
    return None


def release_directory(directory: str | os.PathLike) -> None:
    """Lets a directory go to another run, if this one has left nothing in it.

    Args:
        directory: An output directory that was claimed.
    """
    paths = contents(directory)
    folders = [path for path in paths if path.is_dir()]
    left = any(path.name != CONFIG for path in paths if path not in folders)
    if not left and not any(map(contents, folders)):
        for folder in folders:
            utils.remove_leftovers(folder)
            folder.rmdir()
        Path(directory, CONFIG).unlink(missing_ok=True)


def _remove_empty(folders):
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _flat(config: dict, prefix: str = "") -> dict:
    """Returns a configuration without dictionaries in it: `stages.force.strength`."""
    flat = {}
    for key, value in config.items():
        inner = isinstance(value, dict) and value
        flat |= _flat(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return flat


def record_command(command: str | None) -> None:
    """Remembers the command line of this process, which results then name.

    Args:
        command: Ready for a shell; `None` where no binary was launched.
    """
    _COMMAND[0] = command


def quiet() -> None:
    """Keeps TensorFlow's notes on files and tracing off the terminal."""
    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def describe() -> dict[str, str | None]:
    """Returns the `command` that runs, `hardware` and `versions` below it, the `date`.

    The command is `None` where no binary was launched.
    """
    return {
        "command": _COMMAND[0],
        "hardware": ", ".join([benchmarking.processor(), *_accelerators()]),
        "versions": _versions(),
        "date": datetime.date.today().isoformat(),
    }


def _versions() -> str:
    backend = keras.backend.backend()
    versions = benchmarking.versions()
    if backend == "tensorflow":
        return versions
    return f"{versions}, {backend} {metadata.version(backend)}"


def _accelerators() -> list[str]:
    """Names of the GPUs that training runs on, `2 x NVIDIA H200` for instance."""
    backend = keras.backend.backend()
    names = []
    if backend == "jax":
        import jax

        names = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    elif backend == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        names = [
            details(device).get("device_name", "GPU")
            for device in tf.config.list_physical_devices("GPU")
        ]
    return [f"{n} x {name}" for name, n in collections.Counter(names).items()]
