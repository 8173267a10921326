"""Time of a convolution by channels per group: as measured, or as a tile predicts."""

import math
import os
from collections.abc import Callable

import numpy as np

from keras_roots.convolutions import ARITHMETIC, Convolution, MeasuredTimes
from keras_roots.export import targets
from keras_roots.utils import checks

# Milliseconds by number of groups, for convolutions described without groups.
Curves = dict[Convolution, dict[int, float]]


def read(table: str | os.PathLike | MeasuredTimes | None, dtype: str) -> Curves | None:
    """Reads the convolutions that were measured with several numbers of groups.

    Args:
        table: A table of measured times or the path of its file; `None` for none.
        dtype: Type of arithmetic: a value of `ARITHMETIC`.

    Raises:
        ValueError: The file is no such table, or has none of these convolutions.
        OSError: It cannot be read.
    """
    if table is None:
        return None
    if not isinstance(table, MeasuredTimes):
        table = checks.path("latency_table", table)
        if not os.path.exists(table):
            raise FileNotFoundError(
                "`latency_table` must be an existing file. "
                f"Received: latency_table={table!r}"
            )
        quantize = next(key for key, value in ARITHMETIC.items() if value == dtype)
        table = MeasuredTimes(table, quantize)
    curves: Curves = {}
    for convolution, ms in table.singles().items():
        dense = convolution.with_groups(1)
        curves.setdefault(dense, {})[convolution.groups] = ms
    curves = {dense: times for dense, times in curves.items() if len(times) > 1}
    if not curves:
        raise ValueError(
            "`latency_table` must have times of a convolution with several numbers of "
            f"groups, in {ARITHMETIC[table.quantize]} with {table.threads} threads. "
            f"Received: latency_table={table.path!r} without any"
        )
    return curves


def by_width(
    tile: targets.Tile,
    kernel: tuple[int, int],
    channels: int,
    filters: int,
    curves: Curves | None = None,
) -> Callable[[int], float | None]:
    """Returns a layer's time, up to a factor, as a function of channels per group.

    Args:
        tile: What the processor computes at once.
        kernel: Height and width of the layer's kernel.
        channels: Its input channels.
        filters: Its filters.
        curves: Times measured on the processor: that of the most similar convolution
            is interpolated between the group counts measured, and `None` beyond them.
            By default `targets.cost` predicts them.
    """
    taps = math.prod(kernel)
    if curves is not None:
        return _measured(curves, math.sqrt(taps), channels, filters)

    def predicted(width):
        groups = channels // width
        return targets.cost(tile, taps, width, filters // groups, groups)

    return predicted


def _measured(curves, kernel, channels, filters):
    def distance(dense):
        size = math.sqrt(math.prod(dense.kernel_shape[:2]))
        ratio = dense.filters / dense.channels * channels / filters
        return (
            abs(math.log2(dense.channels / channels))
            + 2 * abs(math.log2(ratio))
            + abs(math.log2(size / kernel))
        )

    dense = min(curves, key=distance)
    points = sorted(
        (dense.channels // groups, ms) for groups, ms in curves[dense].items()
    )
    if dense.channels == dense.filters and points[0][0] == 1:
        del points[0]  # a depthwise kernel: no point of this curve
    widths, ms = np.array(points, "float64").T

    def at(width):
        if not widths[0] <= width <= widths[-1]:
            return None
        return float(np.exp(np.interp(np.log(width), np.log(widths), np.log(ms))))

    return at
