"""Where the channels of dead filters go in a network."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from keras_roots.graph import walk
from keras_roots.graph.elementwise import ELEMENTWISE
from keras_roots.graph.narrow import narrow
from keras_roots.layers import (
    BatchNormalization,
    GroupedConv2D,
    LocalResponseNormalization,
)

CONVOLUTIONS = (keras.layers.Conv2D, GroupedConv2D)


@dataclasses.dataclass(frozen=True)
class _Signal:
    """What is known of a tensor.

    Attributes:
        spec: Its shape and dtype.
        scope: Names of the models that it is made in.
        axis: Axis of its channels, `None` if it holds none of a dead filter.
        sources: For each channel, the dead filter that it comes from, else -1.
        constants: For each channel of a dead filter, its value at every position.
    """

    spec: keras.KerasTensor
    scope: str
    axis: int | None = None
    sources: np.ndarray | None = None
    constants: np.ndarray | None = None


class Flow:
    """Dead filters on their way through a model.

    Args:
        dead: For each convolution, by identity, its dead filters; those that come
            first are the first to go.

    Attributes:
        changes: For each layer to change, by identity, the function that returns its
            new configuration and weights.
    """

    def __init__(self, dead: dict[int, list[int]]):
        self.sources = [(key, index) for key, own in dead.items() for index in own]
        self.number = {source: n for n, source in enumerate(self.sources)}
        self.stays: dict[int, str] = {}
        self.calls: dict[int, list[tuple[keras.Layer, np.ndarray, np.ndarray]]] = {}
        self.changes: dict[int, Callable[[], tuple[dict, list]]] = {}
        self.gone = np.zeros(1, "bool")

    def own(self, layer) -> np.ndarray:
        """Returns for each filter of a convolution its number if dead, else -1."""
        return np.array(
            [self.number.get((id(layer), i), -1) for i in range(layer.filters)]
        )

    def removed(self, layer) -> list[int]:
        """Returns the filters of a convolution that are taken out."""
        return np.flatnonzero(self.gone[self.own(layer)]).tolist()

    def reasons(self, layer) -> tuple[str, ...]:
        """Returns why dead filters of a convolution stay."""
        numbers = self.own(layer).tolist()
        return tuple(dict.fromkeys(self.stays[n] for n in numbers if n in self.stays))

    def keep(self, sources: np.ndarray | None, reason: str) -> None:
        """Lets filters stay."""
        if sources is not None:
            for source in np.unique(sources[sources >= 0]).tolist():
                self.stays.setdefault(source, reason)

    def read(self, signal, axis, name) -> tuple[np.ndarray, np.ndarray]:
        """Returns the sources and constants of the channels along an axis."""
        if signal.axis == axis:
            return signal.sources, signal.constants
        self.keep(signal.sources, f"{name} has its channels on another axis")
        size = signal.spec.shape[axis]
        return np.full(size, -1), np.zeros(size)

    def finish(self) -> None:
        """Decides what goes, once all of the model has been seen."""
        for calls in self.calls.values():
            if len(calls) > 1:
                for layer, sources, _ in calls:
                    reason = f"{layer.name} is called more than once"
                    self.keep(sources, reason)
                    if type(layer) in CONVOLUTIONS:
                        self.keep(self.own(layer), reason)
        layers = {key: calls[0][0] for key, calls in self.calls.items()}
        for layer in layers.values():
            if type(layer) in CONVOLUTIONS:
                self._keep_groups_even(layer)
        # One more entry, false, for the -1 of what comes from no dead filter.
        self.gone = np.array(
            [n not in self.stays for n in range(len(self.sources))] + [False]
        )
        for key, [(layer, sources, constants), *_] in self.calls.items():
            changed = self.gone[sources].any()
            if type(layer) in CONVOLUTIONS:
                changed |= self.gone[self.own(layer)].any()
            if changed:
                self.changes[key] = self._change(layer, sources, constants)

    def _keep_groups_even(self, layer):
        """Takes as many filters from every group of a layer, and leaves it one."""
        each = layer.filters // layer.groups
        going: list[list[int]] = [[] for _ in range(layer.groups)]
        for number, (key, index) in enumerate(self.sources):
            if key == id(layer) and number not in self.stays:
                going[index // each].append(number)
        count = min(each - 1, *map(len, going)) if layer.groups > 1 else each - 1
        reason = "all groups keep as many" if layer.groups > 1 else "a layer keeps one"
        for numbers in going:
            self.keep(np.array(numbers[count:], "int64"), reason)

    def _change(self, layer, sources, constants):
        lost = self.gone[sources]
        values = np.where(lost, constants, 0.0)
        kept = None
        if type(layer) in CONVOLUTIONS:
            kept = ~self.gone[self.own(layer)]
        return lambda: narrow(layer, lost, values, kept)


def follow(model: keras.Model, dead: dict[int, list[int]]) -> Flow:
    """Follows the channels of dead filters through a model.

    Args:
        model: A functional model, or a Sequential one that is built.
        dead: As for `Flow`.

    Raises:
        ValueError: The model has no graph.
    """
    flow = Flow(dead)

    def call(name, operation, args, kwargs):
        scope = name.rpartition("/")[0]
        signals, outputs = walk.infer(operation, args, kwargs, _Signal)
        for signal in signals:
            if not f"{signal.scope}/".startswith(f"{scope}/" if scope else ""):
                flow.keep(signal.sources, f"it enters the model {scope}")
        step = _STEPS.get(type(operation))
        known = step and step(flow, operation, signals, outputs)
        if known:
            axis, sources, constants = known
            return _Signal(outputs, scope, axis, sources, constants)
        for signal in signals:
            flow.keep(signal.sources, f"{operation.name} needs it")
        return keras.tree.map_structure(lambda spec: _Signal(spec, scope), outputs)

    inputs = [_Signal(tensor, "") for tensor in model.inputs]
    for signal in walk.walk(model, inputs, call):
        flow.keep(signal.sources, "it is an output of the model")
    flow.finish()
    return flow


def _axis(layer) -> int:
    return 3 if layer.data_format == "channels_last" else 1


def _apply(function, values) -> np.ndarray:
    outputs = function(keras.ops.convert_to_tensor(values.astype("float32")))
    return keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float64"))


# Steps: what a layer makes of its signals. Each is a function of the flow, the layer,
# its signals and the specification of its output, and returns axis, sources and
# constants of the output, or None where it cannot tell.


def _convolution(flow, layer, signals, output):
    sources, constants = flow.read(signals[0], _axis(layer), layer.name)
    if layer.groups > 1:
        flow.keep(sources, f"{layer.name} has groups")
    elif _pads(layer):
        flow.keep(
            sources[constants != 0], f"{layer.name} pads it, which is not 0, with zeros"
        )
    flow.calls.setdefault(id(layer), []).append((layer, sources, constants))
    own = flow.own(layer)
    if layer.activation not in ELEMENTWISE:
        flow.keep(own, f"the activation of {layer.name} needs it")
        return None
    bias = layer.get_weights()[1] if layer.use_bias else np.zeros(layer.filters)
    return _axis(layer), own, _apply(layer.activation, bias)


def _depthwise(flow, layer, signals, output):
    sources, constants = flow.read(signals[0], _axis(layer), layer.name)
    if layer.activation not in ELEMENTWISE:
        return None
    if _pads(layer):
        flow.keep(
            sources[constants != 0], f"{layer.name} pads it, which is not 0, with zeros"
        )
    flow.calls.setdefault(id(layer), []).append((layer, sources, constants))
    kernel, *bias = layer.get_weights()
    sums = (kernel.astype("float64").sum(axis=(0, 1)) * constants[:, None]).ravel()
    values = _apply(layer.activation, sums + (bias[0] if bias else 0.0))
    return _axis(layer), sources.repeat(layer.depth_multiplier), values


def _batch_norm(flow, layer, signals, output):
    rank = len(output.shape)
    axes = [axis % rank for axis in np.ravel(layer.axis)]
    if len(axes) > 1 or getattr(layer, "renorm", False):
        return None
    sources, constants = flow.read(signals[0], axes[0], layer.name)
    flow.calls.setdefault(id(layer), []).append((layer, sources, constants))
    *affine, mean, variance = (w.astype("float64") for w in layer.get_weights())
    values = (constants - mean) / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        values *= affine.pop(0)
    if layer.center:
        values += affine.pop(0)
    return axes[0], sources, values


def _dense(flow, layer, signals, output):
    sources, constants = flow.read(signals[0], len(output.shape) - 1, layer.name)
    flow.calls.setdefault(id(layer), []).append((layer, sources, constants))
    return len(output.shape) - 1, np.full(layer.units, -1), np.zeros(layer.units)


def _unchanged(flow, layer, signals, output):
    return signals[0].axis and (
        signals[0].axis,
        signals[0].sources,
        signals[0].constants,
    )


def _by_channel(flow, layer, signals, output):
    axis = _axis(layer)
    if signals[0].axis != axis:
        return None
    axis = axis if len(output.shape) == 4 else 1
    return axis, signals[0].sources, signals[0].constants


def _with_zeros_around(flow, layer, signals, output):
    known = _by_channel(flow, layer, signals, output)
    if known:
        axis, sources, constants = known
        reason = f"{layer.name} pads it, which is not 0, with zeros"
        flow.keep(sources[constants != 0], reason)
    return known


def _local_response(flow, layer, signals, output):
    if layer.region != "within_channel":
        return None
    return _with_zeros_around(flow, layer, signals, output)


def _activation(flow, layer, signals, output):
    function = getattr(layer, "activation", layer)
    if function is not layer and function not in ELEMENTWISE:
        return None
    known = _unchanged(flow, layer, signals, output)
    return known and (*known[:2], _apply(function, known[2]))


def _flatten(flow, layer, signals, output):
    shape, axis = signals[0].spec.shape[1:], signals[0].axis
    if axis is None or None in shape:
        return None

    def spread(values):
        sides = [-1 if side == axis - 1 else 1 for side in range(len(shape))]
        full = np.broadcast_to(values.reshape(sides), shape)
        if layer.data_format == "channels_first" and len(shape) > 1:
            full = np.moveaxis(full, 0, -1)
        return full.ravel()

    return 1, spread(signals[0].sources), spread(signals[0].constants)


def _concatenate(flow, layer, signals, output):
    axis = layer.axis % len(output.shape)
    if any(signal.spec.shape[axis] is None for signal in signals):
        return None
    parts = [flow.read(signal, axis, layer.name) for signal in signals]
    sources, constants = (np.concatenate(part) for part in zip(*parts, strict=True))
    return axis, sources, constants


def _pads(layer) -> bool:
    return layer.padding == "same" and max(layer.kernel_size) > 1


_STEPS = {
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.BatchNormalization: _batch_norm,
    BatchNormalization: _batch_norm,
    keras.layers.Dense: _dense,
    keras.layers.Identity: _unchanged,
    keras.layers.Dropout: _unchanged,
    keras.layers.SpatialDropout2D: _unchanged,
    keras.layers.GaussianDropout: _unchanged,
    keras.layers.GaussianNoise: _unchanged,
    keras.layers.MaxPooling2D: _by_channel,
    keras.layers.AveragePooling2D: _by_channel,
    keras.layers.GlobalMaxPooling2D: _by_channel,
    keras.layers.GlobalAveragePooling2D: _by_channel,
    keras.layers.UpSampling2D: _by_channel,
    keras.layers.Cropping2D: _by_channel,
    keras.layers.ZeroPadding2D: _with_zeros_around,
    LocalResponseNormalization: _local_response,
    keras.layers.Activation: _activation,
    keras.layers.ReLU: _activation,
    keras.layers.LeakyReLU: _activation,
    keras.layers.ELU: _activation,
    keras.layers.Flatten: _flatten,
    keras.layers.Concatenate: _concatenate,
}
