"""The devices that a network is trained on."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def scope(distribution: str) -> Iterator[int]:
    """Yields the number of replicas, within the scope of the strategy.

    Args:
        distribution: `"mirrored"` (all local devices, on TensorFlow) or
            `"one_device"`.
    """
    if keras.backend.backend() != "tensorflow" or distribution == "one_device":
        yield 1
        return
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices(
        "CPU"
    )
    if len(devices) == 1:
        yield 1
        return
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    with strategy.scope():
        yield strategy.num_replicas_in_sync
