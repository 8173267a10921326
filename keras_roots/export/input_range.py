"""The values that a model's inputs expect, as its first layers tell them."""

import dataclasses
import inspect
import warnings
from collections.abc import Sequence

import keras
import numpy as np

from keras_roots import graph

# Layers and operations of Keras that leave values as they are, or that move and scale
# them. A `Lambda` is looked at too, as far as it does no more.
_KEEP = ("CenterCrop", "Dropout", "GaussianNoise", "Identity", "Permute", "Reshape")
_KEEP += ("Resizing", "SpatialDropout2D")
_SCALE = ("Lambda", "Rescaling", "Add", "Divide", "Multiply", "Subtract", "TrueDivide")
_SCALE += ("Cast", "Negative")
_STATISTICS = ("Normalization",)

_PROBES = np.array([0.0, 1.0, 2.0], "float32")
_SIDE = 8  # of probes, where a model takes images of any size
_NARROW = 0.05  # parts of the expected deviation
_WIDE = {True: 3, False: 10}  # of statistics, and of a scale alone
_FAR = 4  # expected deviations between the means


class InputRangeWarning(UserWarning):
    """Data have other values than the first layers of a model expect."""


@dataclasses.dataclass(frozen=True)
class InputRange:
    """Values that an input of a model expects.

    Attributes:
        mean: Their mean.
        deviation: Their standard deviation.
        layers: Names of the layers that move and scale them.
        measured: Whether that is known from statistics of data, a `Normalization`;
            otherwise from a scale alone, whose results are taken to be of order one.
    """

    mean: float
    deviation: float
    layers: tuple[str, ...]
    measured: bool

    def random(self, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        """Returns uniform random numbers of this mean and deviation.

        Args:
            shape: Shape of the array.
            rng: What draws them.
        """
        half = np.sqrt(3) * self.deviation
        drawn = rng.uniform(self.mean - half, self.mean + half, shape)
        return drawn.astype("float32")

    def warn(self, name: str, values: np.ndarray) -> None:
        """Warns, by `InputRangeWarning`, where values are of quite another range.

        Args:
            name: The caller's name of the values.
            values: Data for the input.
        """
        mean, deviation = float(np.mean(values)), float(np.std(values))
        part = deviation / self.deviation
        far = abs(mean - self.mean) / self.deviation
        if part < _NARROW:
            fault = "seems to be normalised already, and the model normalises it again"
        elif part > _WIDE[self.measured] or (self.measured and far > _FAR):
            fault = "seems to be other data than the model normalises"
        else:
            return
        found = f"mean {mean:.4g} and standard deviation {deviation:.4g}"
        found += f" (from {np.min(values):.4g} to {np.max(values):.4g})"
        warnings.warn(
            f"`{name}` {fault}: it has {found}, where {', '.join(self.layers)} "
            f"expects about {self.mean:.4g} and {self.deviation:.4g}. "
            "Give it as the model takes it.",
            InputRangeWarning,
            stacklevel=4,
        )


def input_ranges(model: keras.Model) -> list[InputRange | None]:
    """Returns what every input of a model expects, in their order.

    Goes by the operations between an input and the first layer that does more than to
    move and scale values, in models within the model too.

    Args:
        model: A functional model, or a Sequential one that is built.

    Returns:
        `None` for an input that nothing moves or scales.

    Raises:
        ValueError: The model has no graph.
    """
    program = graph.Program(model)
    inputs = [_Probe(i, _probes(tensor)) for i, tensor in enumerate(model.inputs)]
    values = program.start(inputs)
    found: list[_Probe | None] = [None] * len(inputs)
    for index, step in enumerate(program.steps):
        places = set(step.places.values())
        kind = _kind(step.operation)
        if kind is None or len(places) != 1 or len(step.outputs) != 1:
            continue
        if not places <= values.keys():
            continue
        probe = values[next(iter(places))]
        program.run(values, _run, index, index + 1)
        after = values.get(step.outputs[0])
        if after is None or not after.is_line():
            values.pop(step.outputs[0], None)
        elif kind != "keep" and (found[probe.index] or probe).layers == probe.layers:
            found[probe.index] = after
    return [probe and probe.range() for probe in found]


@dataclasses.dataclass
class _Probe:
    """What becomes of an input of zeros, ones and twos."""

    index: int
    values: np.ndarray
    layers: tuple[str, ...] = ()
    measured: bool = False

    def is_line(self) -> bool:
        """Whether values were moved and scaled, and no more."""
        zero, one, two = np.asarray(self.values, "float64")
        size = np.abs([zero, one, two]).max(initial=1e-30)
        return bool(np.isfinite(size)) and np.allclose(
            two - one, one - zero, rtol=0, atol=1e-5 * size
        )

    def range(self) -> InputRange | None:
        zero, _, two = np.asarray(self.values, "float64")
        scale, offset = (two - zero) / 2, zero
        used = np.abs(scale) > 1e-12
        scale, offset = scale[used], offset[used] * np.sign(scale[used])
        if not used.any():
            return None
        size = np.abs(scale)
        if self.measured:
            means, deviations = -offset / size, 1 / size
        else:
            # Results from `offset` to 1, or as far above 0 as they start below it.
            lows = np.where(offset > 0, -offset, 0) / size
            highs = np.where(offset > 0, 1 - offset, np.maximum(1, -offset) - offset)
            highs = np.maximum(highs / size, lows + 1 / size)
            means, deviations = (lows + highs) / 2, (highs - lows) / np.sqrt(12)
        deviation = np.sqrt(np.mean(deviations**2) + np.var(means))
        return InputRange(
            float(np.mean(means)), float(deviation), self.layers, self.measured
        )


def _probes(tensor) -> np.ndarray:
    sides = [_SIDE if side is None else side for side in tensor.shape[1:]]
    return np.broadcast_to(_PROBES.reshape(-1, *[1] * len(sides)), (3, *sides))


def _run(name, operation, args, kwargs) -> "_Probe | None":
    (probe,) = (x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, _Probe))
    args, kwargs = keras.tree.map_structure(
        lambda x: keras.ops.convert_to_tensor(x.values) if x is probe else x,
        (args, kwargs),
    )
    if "training" in inspect.signature(operation.call).parameters:
        kwargs = {**kwargs, "training": False}
    kind = _kind(operation)
    return dataclasses.replace(
        probe,
        values=keras.ops.convert_to_numpy(operation(*args, **kwargs)),
        layers=probe.layers + (() if kind == "keep" else (name,)),
        measured=probe.measured or kind == "statistics",
    )


def _kind(operation) -> str | None:
    """What an operation does to values, `None` if more than is understood here."""
    own = type(operation)
    if own.__module__.partition(".")[0] != "keras":
        return None
    if own.__name__ in _KEEP or own.__name__.startswith("Random"):
        return "keep"
    if own.__name__ in _STATISTICS:
        return "statistics"
    return "scale" if own.__name__ in _SCALE else None
