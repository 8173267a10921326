"""What is known of tensors, and which rule an operation has."""

import keras
import numpy as np
from keras import layers

from keras_roots.graph import Spaces
from keras_roots.graph.signals import Known, Signal, follow, is_signal, read, rule


def _signal(spaces, shape=(None, 4, 4, 3), axis=-1, constants=None):
    channels = (spaces.add_filters(shape[axis]),)
    return Signal(keras.KerasTensor(shape), "", axis, channels, constants)


def test_constants_are_zeros_where_they_are_not_known():
    spaces = Spaces()
    assert _signal(spaces).constants.tolist() == [0, 0, 0]
    assert _signal(spaces, constants=np.ones(3)).constants.tolist() == [1, 1, 1]
    assert Signal(keras.KerasTensor((None, 3)), "").constants is None
    assert is_signal(_signal(spaces))
    assert not is_signal(np.ones(3))


def test_channels_are_read_along_their_axis():
    spaces = Spaces()
    signal = _signal(spaces, constants=np.arange(3.0))
    channels, constants = read(spaces, signal, -1, "layer")
    assert channels == signal.channels
    assert constants.tolist() == [0, 1, 2]
    assert spaces.pinned(channels[0]) == spaces.kept(0) == ""


def test_another_axis_fixes_the_channels():
    spaces = Spaces()
    signal = _signal(spaces)
    (other,), constants = read(spaces, signal, -2, "layer")
    reason = "layer has its channels on another axis"
    assert spaces.pinned(signal.channels[0]) == spaces.pinned(other) == reason
    assert spaces.kept(0) == reason
    assert (spaces.size(other), constants.tolist()) == (4, [0] * 4)


class _Doubled(layers.Layer):
    def call(self, *inputs):
        return inputs[0] * 2


class _Joined(layers.Layer):
    def call(self, inputs):
        return inputs[0]


class _Derived(_Doubled):
    pass


@rule(_Doubled)
def _doubled(spaces, layer, signal, output):
    return Known(signal.axis, signal.channels, 2 * signal.constants)


@rule(_Joined, joins=True)
def _joined(spaces, layer, operands, output):
    return Known(-1, operands[0].channels + (len(operands),))


def test_a_rule_is_of_one_class():
    spaces = Spaces()
    signal = _signal(spaces, constants=np.ones(3))

    def known(layer, *signals):
        return follow(spaces, layer, signals, [*signals, 1.0], signal.spec)

    axis, channels, constants = known(_Doubled(), signal)
    assert (axis, channels, constants.tolist()) == (-1, signal.channels, [2, 2, 2])
    assert known(_Joined(), signal, signal) == (-1, (*signal.channels, 3), None)
    assert known(_Derived(), signal) is None
    assert known(_Doubled(), signal, signal) is None
