"""Multiply-adds and parameters of a model, layer by layer."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import keras

from keras_roots import graph
from keras_roots.utils import format_table


@dataclasses.dataclass(frozen=True)
class LayerProfile:
    """What one call of a convolution or dense layer costs.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        type: Name of its class.
        output_shape: Shape of its output, batch first.
        groups: Filter groups.
        macs: Multiply-adds for one input.
        params: Weights and biases; 0 where a shared layer is called again.
    """

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    groups: int
    macs: int
    params: int


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a model costs; prints as a table.

    Attributes:
        layers: Its convolution and dense layers, in the order of their calls.
        uncounted: Names of other layers that have weights, normalisation aside.
    """

    layers: tuple[LayerProfile, ...]
    uncounted: tuple[str, ...]

    @property
    def macs(self) -> int:
        """Multiply-adds for one input."""
        return sum(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        """Weights and biases of the convolution and dense layers."""
        return sum(layer.params for layer in self.layers)

    def __str__(self) -> str:
        rows = [
            (
                layer.name,
                layer.type,
                "x".join(map(str, layer.output_shape[1:])),
                str(layer.groups),
                f"{layer.macs:,}",
                f"{layer.params:,}",
            )
            for layer in self.layers
        ]
        table = format_table(
            ("layer", "type", "output shape", "groups", "MACs", "params"),
            rows,
            ("total", "", "", "", f"{self.macs:,}", f"{self.params:,}"),
            left=3,
        )
        if self.uncounted:
            table += f"\nweights not counted: {', '.join(self.uncounted)}"
        return table


def profile(model: keras.Model, input_shape: Sequence | None = None) -> Profile:
    """Counts the multiply-adds and parameters of a model.

    By the convention of Ioannou et al., Deep Roots (CVPR 2017): multiply-adds are the
    weights times the positions that they are applied to (those of the output; of the
    input for a transposed convolution), plus every bias once. Parameters are weights
    and biases of convolution and dense layers. Normalisation is not counted. The model
    stays as it is.

    Args:
        model: A functional or Sequential model; may hold others, and shared layers.
        input_shape: Shape of one input, without the batch, where the model's own has
            unknown sides; for a model with several inputs, a list of shapes.

    Returns:
        A `Profile`: `.macs`, `.params`, `.layers`, and a table when printed. Layers of
        classes given to `register_composite` are counted layer by layer.

    Raises:
        ValueError: `model` is subclassed, sides of its input are unknown, or
            `input_shape` is not one of its input shapes.

    Example:
        >>> profile(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])).macs
        10
    """
    model = graph.expand_composites(_built(model, input_shape))
    rows: list[LayerProfile] = []
    uncounted: list[str] = []
    seen: set[int] = set()

    def call(name, layer, args, kwargs):
        if isinstance(layer, keras.Model):
            graph.check_graph(layer)
        output = layer.compute_output_spec(*args, **kwargs)
        row = _row(name, layer, args[0] if args else None, output)
        first = id(layer) not in seen
        seen.add(id(layer))
        if row is not None:
            rows.append(row if first else dataclasses.replace(row, params=0))
        elif first and _has_other_weights(layer):
            uncounted.append(name)
        return output

    graph.walk(model, graph.symbolic_inputs(model, input_shape), call)
    return Profile(tuple(rows), tuple(uncounted))


@dataclasses.dataclass(frozen=True)
class _Kind:
    """Layers that count alike.

    Attributes:
        classes: Their classes.
        kernels: Names of their kernels.
        groups: Function of a layer: its filter groups.
        transposed: Whether the kernel is applied at every position of the input.
    """

    classes: tuple[type[keras.Layer], ...]
    kernels: tuple[str, ...] = ("kernel",)
    groups: Callable[[keras.Layer], int] = lambda layer: 1
    transposed: bool = False


_KINDS = (
    _Kind(
        (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
        groups=lambda layer: layer.groups,
    ),
    _Kind(
        (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
        groups=lambda layer: layer.kernel.shape[-2],
    ),
    _Kind(
        (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
        ("depthwise_kernel", "pointwise_kernel"),
        groups=lambda layer: layer.depthwise_kernel.shape[-2],
    ),
    _Kind(
        (
            keras.layers.Conv1DTranspose,
            keras.layers.Conv2DTranspose,
            keras.layers.Conv3DTranspose,
        ),
        transposed=True,
    ),
    _Kind((keras.layers.Dense,)),
)
_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
)


def _row(name, called, inputs, output) -> LayerProfile | None:
    """Returns what a call costs, `None` for a layer that does not count."""
    # What TimeDistributed, SpectralNormalization and the like wrap does the work.
    layer = called.layer if isinstance(called, keras.layers.Wrapper) else called
    kind = next((kind for kind in _KINDS if isinstance(layer, kind.classes)), None)
    if kind is None:
        return None
    positions = list((inputs if kind.transposed else output).shape[1:])
    positions.pop(_channel_axis(layer))
    if None in positions:
        raise ValueError(
            f"The sides of layer {name!r} are unknown, and so are its multiply-adds. "
            "Pass `input_shape`, the shape of one input, such as (224, 224, 3), or "
            "give the model an Input of a fixed size. "
            f"Received: an output of shape {output.shape}"
        )
    weights = sum(math.prod(getattr(layer, kernel).shape) for kernel in kind.kernels)
    biases = 0 if layer.bias is None else math.prod(layer.bias.shape)
    return LayerProfile(
        name=name,
        type=type(layer).__name__,
        output_shape=tuple(output.shape),
        groups=kind.groups(layer),
        macs=weights * math.prod(positions) + biases,
        params=weights + biases,
    )


def _channel_axis(layer) -> int:
    if getattr(layer, "data_format", "channels_last") == "channels_last":
        return -1
    return -1 - layer.rank


def _has_other_weights(layer) -> bool:
    return (
        isinstance(layer, keras.Layer)
        and bool(layer.weights)
        and not isinstance(layer, _NORMALIZATIONS)
    )


def _built(model, input_shape):
    graph.check_graph(model)
    if not isinstance(model, keras.Sequential) or model.built:
        return model
    if input_shape is None:
        raise ValueError(
            "`model` is a Sequential model that is not built. Pass `input_shape`, the "
            f"shape of one input. Received: model={model.name!r}, input_shape=None"
        )
    if not isinstance(input_shape, Iterable):
        raise ValueError(
            "`input_shape` must be the shape of one input, such as (224, 224, 3). "
            f"Received: input_shape={input_shape!r}"
        )
    copy = keras.models.clone_model(model)
    copy.build((None, *input_shape))
    return copy
