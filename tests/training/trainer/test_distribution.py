"""The devices of a training."""

import keras
import pytest

from keras_roots.training.trainer.distribution import scope


@pytest.mark.parametrize("distribution", ["one_device", "mirrored"])
def test_one_device_is_one_replica(distribution):
    with scope(distribution) as replicas:
        assert replicas == 1
        assert keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).weights


def test_several_devices_are_mirrored(run_python):
    code = """
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from keras_roots.training.trainer.distribution import scope
for name in ("one_device", "mirrored"):
    with scope(name) as replicas:
        print(name, replicas)
"""
    assert run_python(code).splitlines()[-2:] == ["one_device 1", "mirrored 2"]
