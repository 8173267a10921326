"""Where a result comes from: command, hardware, versions, date."""

import collections
import datetime
from importlib import metadata

import keras

from keras_roots import benchmarking
from keras_roots.training import flags


def describe() -> dict[str, str | None]:
    """Returns the `command` that runs, `hardware` and `versions` below it, the `date`.

    The command is `None` where no binary was launched.
    """
    return {
        "command": flags.command(),
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
