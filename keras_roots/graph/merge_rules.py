"""How channels pass layers and operations of `keras.ops` that join several tensors."""

import keras
import numpy as np

from keras_roots.graph.signals import Known, is_signal, read, rule


@rule(
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Multiply,
    keras.layers.Subtract,
    *(
        "Absolute Add Cast Divide Elu Exp Gelu HardSigmoid HardSilu LeakyRelu Log "
        "LogSigmoid Maximum Minimum Multiply Negative Power ReLU Relu Relu6 Rsqrt "
        "Selu Sigmoid Silu Softplus Softsign Sqrt Square StopGradient Subtract Tanh "
        "TrueDivide"
    ).split(),
    joins=True,
)
def _elementwise(spaces, operation, operands, output):
    shapes = [x.spec.shape if is_signal(x) else np.shape(x) for x in operands]
    # Broadcasting takes the sides that are missing in front for 1.
    shapes = [(1,) * (len(output.shape) - len(s)) + tuple(s) for s in shapes]
    axes = [x.axis if is_signal(x) else None for x in operands]
    whole = [
        axis
        for axis, shape in zip(axes, shapes, strict=True)
        if axis is not None and shape[axis] == output.shape[axis]
    ]
    if not whole:
        return None
    axis, joined = whole[0], []
    for operand, own, shape in zip(operands, axes, shapes, strict=True):
        if own == axis and shape[axis] == output.shape[axis]:
            joined.append(operand.channels)
        elif shape[axis] != 1:
            return None
        elif own not in (None, axis):
            reason = f"{operation.name} has its channels on another axis"
            spaces.fix(operand.channels, reason)
    return Known(axis, spaces.merge(joined, operation.name))


@rule(keras.layers.Concatenate, "Concatenate", joins=True)
def _concatenate(spaces, layer, operands, output):
    rank = len(output.shape)
    axis = layer.axis % rank - rank
    if output.shape[axis] is None or not all(map(is_signal, operands)):
        return None
    axes = {signal.axis for signal in operands}
    if len(axes) == 1 and axes.isdisjoint({None, axis}):  # along height or width
        channels = [signal.channels for signal in operands]
        return Known(axes.pop(), spaces.merge(channels, layer.name))
    parts = [read(spaces, signal, axis, layer.name) for signal in operands]
    channels, constants = zip(*parts, strict=True)
    return Known(axis, sum(channels, ()), np.concatenate(constants))
