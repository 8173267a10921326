"""The time of a grouped convolution in LiteRT by channels per group, as measured."""

import csv
import math
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

COLUMNS = ("dtype", "kernel", "side", "channels", "filters", "groups", "ms")


class Shape(NamedTuple):
    """A convolution with stride 1 whose time was measured for every group count.

    Attributes:
        kernel: Height and width of its kernel.
        side: Height and width of its input and output.
        channels: Input channels.
        filters: Output channels.
    """

    kernel: int
    side: int
    channels: int
    filters: int


# The grouped convolutions of the model families.
SHAPES = (
    *(Shape(3, 56 >> stage, 64 << stage, 64 << stage) for stage in range(4)),  # ResNet
    Shape(5, 16, 96, 192),  # NiN
    Shape(3, 8, 192, 192),
    Shape(3, 56, 64, 192),  # GoogLeNet
    Shape(3, 28, 96, 128),
    Shape(3, 28, 128, 192),
    Shape(3, 14, 96, 208),
    Shape(3, 14, 112, 224),
    Shape(3, 14, 128, 256),
    Shape(3, 14, 144, 288),
    Shape(3, 14, 160, 320),
    Shape(3, 7, 192, 384),
    Shape(5, 28, 16, 32),
    Shape(5, 28, 32, 96),
    Shape(5, 14, 24, 64),
    Shape(5, 14, 32, 128),
    Shape(5, 7, 48, 128),
    Shape(5, 27, 96, 256),  # AlexNet
    Shape(3, 13, 384, 384),
    Shape(3, 13, 384, 256),
    *(Shape(3, 32 >> stage, 16 << stage, 16 << stage) for stage in range(3)),  # CIFAR
    Shape(5, 16, 32, 32),  # ConvNet
    Shape(5, 8, 32, 64),
)


def load(path: str | os.PathLike) -> dict[str, dict[Shape, dict]]:
    """Reads a cost table.

    Args:
        path: CSV file with the columns `COLUMNS`.

    Returns:
        For each dtype, for each shape, milliseconds by number of groups.

    Raises:
        ValueError: The file is no cost table.
        OSError: It cannot be read.
    """
    with open(path, newline="") as file:
        text = file.read()
    try:
        table = _parse(text)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"`cost_table` must be a CSV file with the columns {', '.join(COLUMNS)}, "
            "as keras-roots-benchmark --cost_table=FILE writes it. "
            f"Received: {os.fspath(path)!r}, in which reading failed with: {error}"
        ) from error
    if not table:
        raise ValueError(f"`cost_table` {os.fspath(path)!r} holds no measurements")
    return table


def times(
    shapes: dict[Shape, dict], kernel: float, channels: int, filters: int
) -> Callable[[int], float | None]:
    """Returns a layer's time, up to a factor, as a function of channels per group.

    It is that of the most similar shape in the table, interpolated between the group
    counts measured, and `None` beyond them.

    Args:
        shapes: One dtype of a cost table.
        kernel: Height and width of the layer's kernel.
        channels: Its input channels.
        filters: Its output channels.
    """

    def distance(shape):
        return (
            abs(math.log2(shape.channels / channels))
            + 2 * abs(math.log2(shape.filters / shape.channels * channels / filters))
            + abs(math.log2(shape.kernel / kernel))
        )

    shape = min(shapes, key=distance)
    points = sorted(
        (shape.channels // groups, ms) for groups, ms in shapes[shape].items()
    )
    if shape.channels == shape.filters and points[0][0] == 1:
        del points[0]  # a depthwise kernel: no point of this curve
    widths, ms = np.array(points, "float64").T

    def at(width):
        if not widths[0] <= width <= widths[-1]:
            return None
        return float(np.exp(np.interp(np.log(width), np.log(widths), np.log(ms))))

    return at


def _parse(text) -> dict[str, dict[Shape, dict]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    table: dict[str, dict[Shape, dict]] = {}
    for row in csv.DictReader(lines):
        shape = Shape(*(int(row[column]) for column in Shape._fields))
        groups, ms = int(row["groups"]), float(row["ms"])
        if min(*shape, groups) < 1 or not ms > 0:
            raise ValueError(f"row {row}")
        table.setdefault(row["dtype"], {}).setdefault(shape, {})[groups] = ms
    return table
