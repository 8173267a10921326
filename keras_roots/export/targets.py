"""What processors compute fast: the tiles of XNNPACK, LiteRT's CPU kernels."""

import math
from typing import NamedTuple

from keras_roots.convolutions import ARITHMETIC
from keras_roots.utils import checks


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
DTYPES = tuple(ARITHMETIC.values())


def check(target: str, dtype: str) -> None:
    """Checks that a target and a type of arithmetic are known.

    Raises:
        ValueError: One is not.
    """
    checks.choice("target", target, TARGETS)
    checks.choice("dtype", dtype, DTYPES)


def cost(tile: Tile, taps: int, channels: int, filters: int, groups: int = 1) -> float:
    """Returns the time of a convolution per output position, up to a factor.

    The channels and filters of a group fill whole tiles, and going on to the next tap
    costs as much as half a tile of channels. Of 220 shapes and group counts measured on
    AVX-512 (zoo/results/latency-avx512.csv), eight in ten take this time within 7 %.

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
