"""What processors compute fast: the tiles of XNNPACK, LiteRT's CPU kernels."""

import contextlib
import math
import platform
import subprocess
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


# By instruction set: the tiles in float32, and in int8 with a scale per filter, which
# convolutions with int8 weights run on too. From XNNPACK, src/configs/gemm-config.c, of
# the best kernels first; AVX-512 in float32 as measured.
_TILES = {
    "amx": (Tile(32, 1, narrow=16), Tile(64, 64)),
    "avx512-vnni": (Tile(32, 1, narrow=16), Tile(16, 8)),
    "avx512": (Tile(32, 1, narrow=16), Tile(16, 8)),
    "avx-vnni": (Tile(16, 1), Tile(8, 8)),
    "avx2": (Tile(16, 1), Tile(8, 8)),
    "neon-i8mm": (Tile(8, 1), Tile(16, 8)),
    "neon-dot": (Tile(8, 1), Tile(16, 4)),
    "neon": (Tile(8, 1), Tile(8, 8)),
}
TARGETS = {
    name: {"float32": floats, "dynamic": integers, "int8": integers}
    for name, (floats, integers) in _TILES.items()
}
HOST = "host"
DTYPES = tuple(ARITHMETIC.values())

# What Linux and macOS call what the kernels of a target need, the best target first.
_FLAGS = {
    "amx": ("amx_int8",),
    "avx512-vnni": ("avx512_vnni",),
    "avx512": ("avx512f", "avx512bw"),
    "avx-vnni": ("avx_vnni",),
}
_ARM_FLAGS = {"neon-i8mm": ("i8mm",), "neon-dot": ("asimddp",)}
_LINES = ("flags", "Features")  # of /proc/cpuinfo, on x86 and on Arm
_MAC_FLAGS = {"FEAT_I8MM": "i8mm", "FEAT_DotProd": "asimddp"}


def host_target() -> str:
    """Returns the target, of `TARGETS`, that this machine is: by its instruction sets.

    Where the system does not tell them, it is the one that all such machines have:
    `"avx2"`, or `"neon"` on Arm.
    """
    arm = platform.machine().lower() in ("arm64", "aarch64")
    flags = _flags()
    for target, needed in (_ARM_FLAGS if arm else _FLAGS).items():
        if flags.issuperset(needed):
            return target
    return "neon" if arm else "avx2"


def resolve_target(target: str) -> str:
    """Returns a target; that of this machine for `"host"`.

    Raises:
        ValueError: There is no such target.
    """
    checks.choice("target", target, (HOST, *TARGETS))
    return host_target() if target == HOST else target


def tile_of(target: str, dtype: str) -> Tile:
    """Returns what a target computes at once.

    Args:
        target: Of `TARGETS`, or `"host"`.
        dtype: Of `DTYPES`.

    Raises:
        ValueError: One is not.
    """
    checks.choice("dtype", dtype, DTYPES)
    return TARGETS[resolve_target(target)][dtype]


def _flags() -> set[str]:
    """Names of the instruction sets that all processors of this machine have.

    None where it does not tell.
    """
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        lines = [line.partition(":") for line in file]
        named = [set(text.split()) for name, _, text in lines if name.strip() in _LINES]
        return set.intersection(*named) if named else set()
    if platform.system() != "Darwin":
        return set()
    names = [f"hw.optional.arm.{name}" for name in _MAC_FLAGS]
    with contextlib.suppress(OSError):
        told = subprocess.run(
            ["sysctl", "-n", *names], capture_output=True, text=True, check=False
        )
        values = zip(_MAC_FLAGS.values(), told.stdout.split(), strict=False)
        return {flag for flag, value in values if value == "1"}
    return set()


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
