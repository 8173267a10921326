"""What the cost and the time of a convolution or Dense layer depend on."""

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras

from keras_roots import graph
from keras_roots.layers import GroupedConv2D
from keras_roots.utils import checks

Pair = tuple[int, int]
KernelShape = tuple[int, int, int, int]

# What can be described; a Dense layer is a 1x1 convolution by another name.
KERNEL_LAYERS = (keras.layers.Conv2D, keras.layers.Dense)

# The text of a convolution with one call.
_TEXT = re.compile(
    r"(Dense )?(\d+)x(\d+) on (\d+)x(\d+)x(\d+), filters (\d+), groups (\d+), "
    r"strides (\d+)x(\d+), dilation (\d+)x(\d+), (same|valid)(, bias)?"
)


class Cost(NamedTuple):
    """Multiply-adds for one input, and weights and biases.

    Attributes:
        macs: Weights times positions, and every bias once, over all calls of a layer.
        params: Weights and biases.
    """

    macs: int
    params: int


@dataclasses.dataclass(frozen=True)
class Convolution:
    """What the cost and the time of a convolution depend on; prints as one line.

    A Dense layer is a 1x1 convolution that LiteRT computes otherwise.

    Attributes:
        kernel_shape: `(height, width, channels / groups, N)`.
        groups: Filter groups.
        strides: Strides along height and width.
        padding: `"valid"` or `"same"`.
        dilation: Dilation along height and width.
        use_bias: Whether it has biases.
        inputs: Height and width of its input, for every call. Those of a Dense layer
            are 1x1 for a vector, and steps by 1 for a sequence of them.
        kind: `"Conv2D"` or `"Dense"`.
    """

    kernel_shape: KernelShape
    groups: int
    strides: Pair
    padding: str
    dilation: Pair
    use_bias: bool
    inputs: tuple[Pair, ...]
    kind: str = "Conv2D"

    @classmethod
    def of(cls, layer: keras.Layer, inputs: Sequence[Pair] = ()) -> "Convolution":
        """Describes a layer.

        Args:
            layer: A 2D convolution or a Dense layer that is built.
            inputs: Height and width of its input, for every call; none for a layer of
                which only the settings matter.

        Raises:
            ValueError: A side of an input is unknown.
        """
        for sides in inputs:
            if len(sides) != 2 or not all(map(checks.is_integer, sides)):
                raise ValueError(
                    "`inputs` must be the height and width that layer "
                    f"{layer.name!r} gets in every call: its cost depends on them. "
                    f"Received: inputs={inputs!r}"
                )
        if isinstance(layer, keras.layers.Dense):
            shape = (1, 1, *layer.kernel.shape)
            settings = shape, 1, (1, 1), "valid", (1, 1), layer.use_bias
            return cls(*settings, tuple(inputs), "Dense")
        return cls(
            kernel_shape=tuple(layer.kernel.shape),
            groups=layer.groups,
            strides=tuple(layer.strides),
            padding=layer.padding,
            dilation=tuple(layer.dilation_rate),
            use_bias=layer.use_bias,
            inputs=tuple(inputs),
        )

    @classmethod
    def parse(cls, text: str) -> "Convolution":
        """Returns the convolution, with one call, that prints as a text.

        Raises:
            ValueError: None does.
        """
        found = _TEXT.fullmatch(text)
        if not found:
            raise ValueError(f"`text` must describe a convolution. Received: {text!r}")
        height, width, *inputs, channels, filters, groups = map(
            int, found.groups()[1:8]
        )
        strides, dilation = (
            tuple(map(int, found.group(*ij))) for ij in ((9, 10), (11, 12))
        )
        return cls(
            (height, width, channels // groups, filters),
            groups,
            strides,
            found[13],
            dilation,
            found[14] is not None,
            (tuple(inputs),),
            "Dense" if found[1] else "Conv2D",
        )

    @property
    def channels(self) -> int:
        """Input channels, of all groups."""
        return self.kernel_shape[2] * self.groups

    @property
    def filters(self) -> int:
        """Output channels."""
        return self.kernel_shape[3]

    @property
    def calls(self) -> tuple["Convolution", ...]:
        """The same convolution once for every call of it."""
        return tuple(
            dataclasses.replace(self, inputs=(sides,)) for sides in self.inputs
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input of its first call, without the batch."""
        sides = self.inputs[0]
        if self.kind == "Dense":
            while sides and sides[-1] == 1:
                sides = sides[:-1]
        return (*sides, self.channels)

    @property
    def outputs(self) -> tuple[Pair, ...]:
        """Height and width of its output, for every call."""
        size = self.kernel_shape[:2]
        return tuple(
            tuple(map(self._side, sides, size, self.strides, self.dilation))
            for sides in self.inputs
        )

    @property
    def cost(self) -> Cost:
        """Its cost by the convention of Deep Roots, as `profile` counts it."""
        weights = math.prod(self.kernel_shape)
        biases = self.kernel_shape[3] * self.use_bias
        return Cost(
            sum(weights * math.prod(sides) + biases for sides in self.outputs),
            weights + biases,
        )

    def with_groups(self, groups: int) -> "Convolution":
        """Returns it with another number of filter groups.

        Args:
            groups: Divides channels and filters; 1 for none.
        """
        height, width = self.kernel_shape[:2]
        shape = (height, width, self.channels // groups, self.filters)
        return dataclasses.replace(self, kernel_shape=shape, groups=groups)

    def layer(self) -> keras.Layer:
        """Returns such a layer, not built yet, with random weights."""
        common = {"use_bias": self.use_bias, "dtype": "float32"}
        common["bias_initializer"] = "random_normal"  # zeros might be left out
        if self.kind == "Dense":
            return keras.layers.Dense(self.filters, **common)
        return GroupedConv2D(
            self.filters,
            self.kernel_shape[:2],
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation,
            groups=self.groups,
            data_format="channels_last",
            **common,
        )

    def __str__(self) -> str:
        inputs = " and ".join(_by(*sides, self.channels) for sides in self.inputs)
        kind = "Dense " if self.kind == "Dense" else ""
        parts = [
            f"{kind}{_by(*self.kernel_shape[:2])} on {inputs}",
            f"filters {self.filters}",
            f"groups {self.groups}",
            f"strides {_by(*self.strides)}",
            f"dilation {_by(*self.dilation)}",
            self.padding,
        ]
        return ", ".join(parts + ["bias"] * self.use_bias)

    def _side(self, side, size, stride, dilation) -> int:
        if self.padding == "valid":
            side -= (size - 1) * dilation
        return -(-side // stride)


def total_cost(chain: Iterable[Convolution]) -> Cost:
    """Returns the cost of convolutions together."""
    costs = [convolution.cost for convolution in chain]
    return Cost(sum(cost.macs for cost in costs), sum(cost.params for cost in costs))


def input_sides(
    model: keras.Model, input_shape: Sequence | None = None
) -> dict[int, list[Pair]]:
    """Returns height and width of the inputs of convolutions and Dense layers, by `id`.

    Args:
        model: A functional or Sequential model whose shapes `profile` can count.
        input_shape: As for `profile`.

    Returns:
        For the `id` of each layer of `KERNEL_LAYERS`, an entry per call of it.
    """
    sides: dict[int, list[Pair]] = {}

    def call(name, layer, args, kwargs):
        if isinstance(layer, KERNEL_LAYERS):
            sides.setdefault(id(layer), []).append(_sides(layer, args[0].shape))
        return layer.compute_output_spec(*args, **kwargs)

    graph.walk(model, graph.symbolic_inputs(model, input_shape), call)
    return sides


def _sides(layer, shape) -> tuple:
    if isinstance(layer, keras.layers.Dense):
        height, *others = *shape[1:-1], 1
        return height, None if None in others else math.prod(others)
    first = layer.data_format == "channels_first"
    return shape[2:] if first else shape[1:3]


def _by(*sides) -> str:
    return "x".join(map(str, sides))
