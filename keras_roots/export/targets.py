"""What processors compute fast: the tiles of XNNPACK, LiteRT's CPU kernels."""

import math
import os
from collections.abc import Callable
from typing import NamedTuple

from keras_roots.export import costs


class Tile(NamedTuple):
    """What a matrix kernel of XNNPACK computes at once; less than that is waste.

    Attributes:
        filters: Filters side by side, XNNPACK's `nr`.
        channels: Input channels that one instruction sums up, its `kr`.
        narrow: Filters side by side where there are no more than these.
    """

    filters: int
    channels: int
    narrow: int = 0


# By processor: the tiles in float32, and in int8 with a scale per filter, which
# convolutions with int8 weights run on too. From XNNPACK, src/configs/gemm-config.c;
# AVX-512 as measured.
_TILES = {
    "avx512": (Tile(32, 1, narrow=16), Tile(16, 8)),  # with VNNI
    "avx2": (Tile(16, 1), Tile(8, 8)),
    "neon": (Tile(8, 1), Tile(16, 4)),  # ARMv8.2, with dot products
}
TARGETS = {
    name: {"float32": floats, "dynamic": integers, "int8": integers}
    for name, (floats, integers) in _TILES.items()
}
DTYPES = ("float32", "dynamic", "int8")


def check(target: str, dtype: str) -> None:
    """Checks that a target and a type of arithmetic are known.

    Raises:
        ValueError: One is not.
    """
    if target not in TARGETS:
        raise ValueError(
            f"`target` must be one of {list(TARGETS)}. Received: target={target!r}"
        )
    if dtype not in DTYPES:
        raise ValueError(f"`dtype` must be one of {DTYPES}. Received: dtype={dtype!r}")


def cost(tile: Tile, taps: int, channels: int, filters: int, groups: int = 1) -> float:
    """Returns the time of a convolution per output position, up to a factor.

    The channels and filters of a group fill whole tiles, and going on to the next tap
    costs as much as half a tile of channels. Of 220 shapes and group counts measured on
    AVX-512 (zoo/results/group-costs.csv), eight in ten take this time within 7 %.

    Args:
        tile: What the processor computes at once.
        taps: Height times width of the kernel.
        channels: Input channels of a group.
        filters: Filters of a group.
        groups: Number of groups.
    """
    filled = math.ceil(filters / tile.filters) * tile.filters
    if filters <= tile.narrow:
        filled = tile.narrow
    depth = math.ceil(channels / tile.channels) * tile.channels
    return groups * filled * taps * (depth + tile.channels / 2)


def group_times(
    tile: Tile,
    kernel: tuple[int, int],
    channels: int,
    filters: int,
    table: dict[costs.Shape, dict] | None = None,
) -> Callable[[int], float | None]:
    """Returns a layer's time, up to a factor, as a function of channels per group.

    Args:
        tile: What the processor computes at once.
        kernel: Height and width of the layer's kernel.
        channels: Its input channels.
        filters: Its filters.
        table: Times measured on the processor; by default `cost` predicts them.
    """
    taps = math.prod(kernel)
    if table is not None:
        return costs.times(table, math.sqrt(taps), channels, filters)

    def predicted(width):
        groups = channels // width
        return cost(tile, taps, width, filters // groups, groups)

    return predicted


def load_table(
    path: str | os.PathLike | None, dtype: str
) -> dict[costs.Shape, dict] | None:
    """Reads the part of a measured cost table on one type of arithmetic.

    Args:
        path: The table; `None` for none.
        dtype: One of `DTYPES`.

    Raises:
        ValueError: The file is no cost table, or has nothing on this type.
        OSError: It cannot be read.
    """
    if path is None:
        return None
    table = costs.load(path)
    if dtype not in table:
        raise ValueError(
            f"`cost_table` must have rows for {dtype!r}; it has {sorted(table)}. "
            f"Received: cost_table={os.fspath(path)!r}"
        )
    return table[dtype]
