"""Counted cost of convolutions, and of the two that take the place of one."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import keras

from keras_roots import graph
from keras_roots.convolutions.schemes import KernelShape, Pair, Scheme


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
    """What the cost of a convolution depends on.

    Attributes:
        kernel_shape: `(height, width, channels / groups, N)`.
        groups: Filter groups.
        strides: Strides along height and width.
        padding: `"valid"` or `"same"`.
        dilation: Dilation along height and width.
        use_bias: Whether it has biases.
        inputs: Height and width of its input, for every call.
    """

    kernel_shape: KernelShape
    groups: int
    strides: Pair
    padding: str
    dilation: Pair
    use_bias: bool
    inputs: tuple[Pair, ...]

    @classmethod
    def of(cls, layer: keras.layers.Conv2D, inputs: Sequence[Pair]) -> "Convolution":
        """Describes a layer that is called on maps of these heights and widths."""
        return cls(
            kernel_shape=tuple(layer.kernel.shape),
            groups=layer.groups,
            strides=tuple(layer.strides),
            padding=layer.padding,
            dilation=tuple(layer.dilation_rate),
            use_bias=layer.use_bias,
            inputs=tuple(inputs),
        )

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

    def factors(
        self, scheme: Scheme, rank: int, use_bias: bool | None = None
    ) -> tuple["Convolution", "Convolution"]:
        """Describes the two convolutions that would take its place.

        Args:
            scheme: Which two.
            rank: M, over all groups.
            use_bias: Whether the second has biases; `None` if this one has.
        """
        shapes = scheme.shapes(self.kernel_shape, self.groups, rank)
        strides, dilations = scheme.split(self.strides), scheme.split(self.dilation)
        first = dataclasses.replace(
            self,
            kernel_shape=shapes[0],
            strides=strides[0],
            dilation=dilations[0],
            use_bias=False,
        )
        second = dataclasses.replace(
            self,
            kernel_shape=shapes[1],
            strides=strides[1],
            dilation=dilations[1],
            use_bias=self.use_bias if use_bias is None else use_bias,
            inputs=first.outputs,
        )
        return first, second

    def _side(self, side, size, stride, dilation) -> int:
        if self.padding == "valid":
            side -= (size - 1) * dilation
        return -(-side // stride)


def factors_cost(factors: Sequence[Convolution]) -> Cost:
    """Returns the cost of convolutions together."""
    costs = [factor.cost for factor in factors]
    return Cost(sum(cost.macs for cost in costs), sum(cost.params for cost in costs))


def theoretical_speedup(kernel_shape: KernelShape, groups: int, rank: int) -> float:
    """Returns how many times fewer weights a cross-filter decomposition applies.

    Force Regularization, Table 4: basis filters and the 1x1, both with the groups of
    the layer, biases aside.

    Args:
        kernel_shape: `(height, width, channels / groups, N)`.
        groups: Filter groups.
        rank: M, over all groups; it need not be a multiple of them.

    Example:
        >>> round(theoretical_speedup((3, 3, 256, 384), 1, 184), 2)  # AlexNet conv3
        1.79
    """
    *size, filters = kernel_shape
    weights = math.prod(size)
    return weights * filters / (rank * (weights + filters / groups))


def break_even_rank(kernel_shape: KernelShape, groups: int) -> int:
    """Returns the highest rank M at which a cross-filter decomposition pays.

    The greatest multiple of the groups with `theoretical_speedup` above 1; 0 if there
    is none.

    Args:
        kernel_shape: `(height, width, channels / groups, N)`.
        groups: Filter groups.
    """
    *size, filters = kernel_shape
    weights, per_group = math.prod(size), filters // groups
    return groups * ((weights * per_group - 1) // (weights + per_group))


def input_sides(
    model: keras.Model, input_shape: Sequence | None = None
) -> dict[int, list[Pair]]:
    """Returns height and width of the inputs of a model's convolutions, by `id`.

    Args:
        model: A functional or Sequential model whose shapes `profile` can count.
        input_shape: As for `profile`.

    Returns:
        For the `id` of each 2D convolution, an entry per call of it.
    """
    sides: dict[int, list[Pair]] = {}

    def call(name, layer, args, kwargs):
        if isinstance(layer, keras.layers.Conv2D):
            shape = args[0].shape
            first = layer.data_format == "channels_first"
            sides.setdefault(id(layer), []).append(shape[2:] if first else shape[1:3])
        return layer.compute_output_spec(*args, **kwargs)

    graph.walk(model, graph.symbolic_inputs(model, input_shape), call)
    return sides
