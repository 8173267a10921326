"""The spatial convolutions of any network, and the stage that each belongs to."""

import dataclasses
import math
from collections.abc import Sequence

import keras

from keras_roots import graph
from keras_roots.convolutions import Layers
from keras_roots.graph import Selection, symbolic_inputs


@dataclasses.dataclass(frozen=True)
class Spatial:
    """A convolution that may take filter groups.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        layer: The layer.
        outputs: Height and width of its output, for every call.
        stage: Index of its stage.
        chosen: Whether it is to take groups.
        obstacle: Why it cannot take any, if so: it is of a subclass, for instance.
    """

    name: str
    layer: keras.layers.Conv2D
    outputs: tuple[tuple[int, int], ...]
    stage: int
    chosen: bool
    obstacle: str = ""

    @property
    def channels(self) -> int:
        """Number of input channels."""
        return self.layer.kernel.shape[2]

    @property
    def filters(self) -> int:
        """Number of output channels."""
        return self.layer.filters


def spatial_convolutions(
    model: keras.Model, layers: Layers = None, input_shape: Sequence | None = None
) -> list[Spatial]:
    """Returns the convolutions of a model that may take filter groups.

    Those are all but convolutions that take the image, 1x1s, depthwise ones and those
    that have groups already. Layers of one resolution, up to what unpadded convolutions
    take off it, are a stage: the largest maps are stage 0, those of about half their
    sides the next (Ioannou et al., Deep Roots, CVPR 2017, section 4). Layers of
    subclasses are among them, never chosen, and with the reason.

    Args:
        model: A functional or Sequential model, models within it included.
        layers: Which of them to choose: names, a function of the layer, `"pointwise"`,
            `"spatial"`; `None` for all. Stages are those of all.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Raises:
        ValueError: The model is subclassed, sides are unknown or 0, or it has none that
            is chosen.
    """
    found = _spatial(model, input_shape)
    outputs = {key: calls for key, (_, _, calls) in found.items()}
    halvings = _halvings(outputs)
    stages = sorted(set(halvings.values()))
    selection = Selection(
        layers, _takes_groups, "spatial convolutions behind the first one"
    )
    spatial = [
        Spatial(
            name,
            layer,
            tuple(outputs[key]),
            stages.index(halvings[key]),
            selection(layer, name),
            graph.obstacle(layer, keras.layers.Conv2D),
        )
        for key, (name, layer, _) in found.items()
    ]
    selection.check(model)
    return spatial


def groupable(
    model: keras.Model, input_shape: Sequence | None = None
) -> dict[int, tuple[str, keras.layers.Conv2D, list[tuple[int, int]]]]:
    """Finds the convolutions of a model that may take filter groups.

    Args:
        model: As for `spatial_convolutions`.
        input_shape: As for `spatial_convolutions`.

    Returns:
        By `id`: name, layer, and height and width of its output for every call.

    Raises:
        ValueError: The model is subclassed, or sides are unknown.
    """
    found = _spatial(model, input_shape)
    return {key: entry for key, entry in found.items() if _takes_groups(entry[1])}


def _spatial(model, input_shape) -> dict[int, tuple]:
    """Finds what `groupable` does, and layers of subclasses."""
    found: dict[int, tuple[str, keras.layers.Conv2D, list]] = {}

    def step(name, operation, output, convolved):
        if not isinstance(operation, keras.layers.Conv2D):
            return any(convolved)
        if any(convolved) and _is_spatial(operation):
            entry = found.setdefault(id(operation), (name, operation, []))
            entry[2].append(_sides(operation, output))
        return True

    graph.annotate(model, symbolic_inputs(model, input_shape), False, step)
    # A layer with several names goes by the first of them everywhere.
    names = {id(layer): name for name, layer in reversed([*graph.operations(model)])}
    return {key: (names[key], *rest) for key, (_, *rest) in found.items()}


def _takes_groups(layer) -> bool:
    return graph.is_a(layer, keras.layers.Conv2D) and _is_spatial(layer)


def _is_spatial(layer) -> bool:
    return layer.groups == 1 and max(layer.kernel_size) > 1


def _sides(layer, spec) -> tuple[int, int]:
    first = layer.data_format == "channels_first"
    return tuple(spec.shape[2:] if first else spec.shape[1:3])


def _halvings(outputs) -> dict[int, int]:
    """How often, about, the sides of the largest map were halved for each layer."""
    areas = {key: max(map(math.prod, calls)) for key, calls in outputs.items()}
    if 0 in areas.values():
        raise ValueError(
            "`input_shape` must leave every convolution an output. "
            "Received: an input shape with which there is one of no positions"
        )
    largest = max(areas.values(), default=1)
    sides = [sides for calls in outputs.values() for sides in calls]
    dimensions = 2 if any(min(each) > 1 for each in sides) else 1
    return {
        key: round(math.log2(largest / area) / dimensions)
        for key, area in areas.items()
    }
